"""Checks for malicious servers: what they need to be granted, and the attacks that read what they craft."""

from __future__ import annotations

from collections.abc import Iterator

from fedleak.errors import InputError
from fedleak.scenario.schema import Scenario
from fedleak.threat import Capability, ModelTampering, PublicData

PATH = "adversary.crafting"


def check_crafting(scenario: Scenario) -> Iterator[InputError]:
    """Conflicts with ``adversary.crafting``, and attacks that need another one."""
    yield from _check_readers(scenario)
    if scenario.adversary.crafting is not None:
        yield from _check_grants(scenario)
        yield from _check_federation(scenario)


def _check_readers(scenario: Scenario) -> Iterator[InputError]:
    crafting = scenario.adversary.crafting
    for i, attack in enumerate(scenario.attacks):
        if attack.reads is not None and (crafting is None or crafting.kind != attack.reads):
            there = "no crafting" if crafting is None else f"crafting {crafting.kind}"
            yield InputError(
                f"attacks.{i}",
                attack.name,
                f"it reads models that a malicious server crafted as {attack.reads}, and the scenario has {there}: set "
                f"{PATH}: {{kind: {attack.reads}}}",
            )


def _check_grants(scenario: Scenario) -> Iterator[InputError]:
    crafting, granted = scenario.adversary.crafting, scenario.adversary.granted
    if crafting is None:
        return
    needed: list[type[Capability]] = [ModelTampering, *([PublicData] if crafting.uses_public_data else [])]
    for capability in needed:
        name = capability.capability_name()
        if name not in granted:
            yield InputError(
                PATH,
                crafting.kind,
                f"it needs {name} (level {capability.level}), which the adversary is not granted; granted: "
                f"{', '.join(sorted(granted)) or 'nothing'} (see adversary.level, adversary.grants)",
            )


def _check_federation(scenario: Scenario) -> Iterator[InputError]:
    crafting, federation = scenario.adversary.crafting, scenario.federation
    if crafting is None:
        return
    if federation.client.batch_norm == "train_local":
        yield InputError(
            "federation.client.batch_norm",
            "train_local",
            f"clients would keep buffers of the model that {PATH} replaces: use eval or train_shared",
        )
    for name, chosen, most in (
        ("clients", crafting.clients, federation.clients - 1),
        ("rounds", crafting.rounds, federation.rounds),
    ):
        for number in chosen if chosen != "all" else ():
            if int(number) > most:
                first = 0 if name == "clients" else 1
                yield InputError(f"{PATH}.{name}", number, f"{name} are {first} to {most}")
