"""Checks for federations on a Flower deployment."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from fedleak.data.partition.iid import Iid
from fedleak.errors import InputError
from fedleak.scenario.engine import FederationEngine
from fedleak.scenario.schema import Scenario
from fedleak.threat import MiniBatchOrder, TrueLabels

ENGINE = "federation.engine"
ONLY_DEPLOYED = ("root_certificates", "superexec_secret", "insecure", "data")
ONLY_SIMULATED = ("cpus", "client_cpus")


def check_deployment(scenario: Scenario) -> Iterator[InputError]:
    """Conflicts of the settings of ``federation.engine`` that concern a deployment."""
    engine = scenario.federation.engine
    for name in ONLY_SIMULATED if engine.deployed else ONLY_DEPLOYED:
        value = getattr(engine, name)
        if value != FederationEngine.model_fields[name].default:
            other = "ray; nodes take what their machines have" if engine.deployed else "deployment"
            yield InputError(f"{ENGINE}.{name}", value, f"it belongs to engines of kind {other}")
    if not engine.deployed:
        return
    yield from _check_superlink(engine)
    if engine.own_data:
        yield from _check_own_data(scenario)


def host_and_port(address: str) -> tuple[str, int] | None:
    """The parts of ``host:port`` (``[host]:port`` for IPv6), or None if it is not of that form."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        return None
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether a name or an address stands for the loopback interface."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_superlink(engine: FederationEngine) -> Iterator[InputError]:
    place = host_and_port(engine.address) if engine.address is not None else None
    if place is None:
        yield InputError(f"{ENGINE}.address", engine.address, "expected the SuperLink's host:port, as 127.0.0.1:8000")
    elif engine.insecure and not is_loopback(place[0]):
        yield InputError(f"{ENGINE}.insecure", True, f"{place[0]} is not on the loopback interface; it needs TLS")
    if engine.insecure and engine.root_certificates is not None:
        yield InputError(f"{ENGINE}.insecure", True, "with root_certificates, the connection is to be encrypted")


def _check_own_data(scenario: Scenario) -> Iterator[InputError]:
    """Whatever needs the clients' images outside of their nodes."""
    federation, unknown = scenario.federation, "with data: own, only the nodes know their images"
    if federation.partition != Iid():
        yield InputError("federation.partition", federation.partition.kind, f"{unknown}; remove it")
    if federation.client.selection != "random":
        yield InputError("federation.client.selection", federation.client.selection, f"{unknown}; choose random")
    for capability in (TrueLabels, MiniBatchOrder):
        name = capability.capability_name()
        if name in scenario.adversary.granted:
            yield InputError("adversary.grants", name, f"{unknown}; it cannot be granted")
