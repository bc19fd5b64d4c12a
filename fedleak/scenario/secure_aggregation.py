"""Checks for secure aggregation, which excludes settings and attacks that need a single client's update."""

from __future__ import annotations

from collections.abc import Iterator

from fedleak.errors import InputError
from fedleak.scenario.schema import Scenario
from fedleak.server.secure_aggregation import MODULUS_BITS, SecureAggregation
from fedleak.threat import BatchStatistics, MiniBatchOrder

PATH = "federation.secure_aggregation"


def check_secure_aggregation(scenario: Scenario) -> Iterator[InputError]:
    """Conflicts with ``federation.secure_aggregation``, if the scenario sets it."""
    settings = scenario.federation.secure_aggregation
    if settings is None:
        return
    yield from _check_protocol(scenario, settings)
    yield from _check_clients(scenario)
    yield from _check_adversary(scenario)


def _check_protocol(scenario: Scenario, settings: SecureAggregation) -> Iterator[InputError]:
    count = scenario.federation.clients_per_round or scenario.federation.clients
    if settings.num_shares > count or (settings.num_shares % 2 == 0 and settings.num_shares != count):
        yield InputError(
            f"{PATH}.num_shares", settings.num_shares, f"expected an odd number up to {count}, the clients in a round"
        )
    if count * settings.quantization_range >= 2**MODULUS_BITS:
        yield InputError(
            f"{PATH}.quantization_range",
            settings.quantization_range,
            f"the sum over {count} clients must stay below 2^{MODULUS_BITS}",
        )


def _check_clients(scenario: Scenario) -> Iterator[InputError]:
    batch_norm = scenario.federation.client.batch_norm
    if batch_norm == "train_shared":
        yield InputError(
            "federation.client.batch_norm", batch_norm, "running statistics do not fit the range of secure aggregation"
        )


def _check_adversary(scenario: Scenario) -> Iterator[InputError]:
    adversary, sees = scenario.adversary, f"with {PATH} the adversary sees"
    if adversary.victims.clients != "others":
        chosen = adversary.victims.clients
        yield InputError("adversary.victims.clients", chosen, f"{sees} only the sum of a round: expected others")
    if adversary.injection is not None:
        pairs = adversary.injection.pairs
        yield InputError("adversary.injection.pairs", pairs, f"{sees} no single client's update, so there are no pairs")
    for name in (BatchStatistics.capability_name(), MiniBatchOrder.capability_name()):
        if name in adversary.granted:
            yield InputError("adversary.grants", name, f"{sees} nothing about single batches")
    for i, attack in enumerate(scenario.attacks):
        if attack.adapts and scenario.federation.sharing_client.postprocess:
            yield InputError(
                f"attacks.{i}.adaptive",
                attack.name,
                f"{sees} a sum of post-processed updates; the post-processing cannot be replayed on the sum",
            )
