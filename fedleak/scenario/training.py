"""Checks for local training and the server's optimiser, which exclude settings that would make them another method."""

from __future__ import annotations

from collections.abc import Iterator

from fedleak.errors import InputError
from fedleak.scenario.schema import Scenario
from fedleak.server.strategy.factory import OwnStrategy

STRATEGY = "federation.server.strategy"


def check_training(scenario: Scenario) -> Iterator[InputError]:
    """Conflicts with the clients' local objective and with the server's strategy."""
    client = scenario.federation.client
    if client.proximal_mu and client.drift is not None:
        yield InputError(
            "federation.client.proximal_mu",
            client.proximal_mu,
            "the proximal term pulls towards the broadcast model, from which drift moves clients away: remove drift",
        )
    yield from _check_strategy(scenario)


def _check_strategy(scenario: Scenario) -> Iterator[InputError]:
    federation = scenario.federation
    strategy, rule, private = federation.server.strategy, federation.server.aggregation, federation.client_level_dp
    if strategy is None:
        return
    if rule is not None:
        yield InputError(
            STRATEGY,
            strategy.kind,
            f"aggregation {rule.kind} moves the model itself: set one of them to null",
        )
    if not isinstance(strategy, OwnStrategy):
        return
    if federation.secure_aggregation is not None:
        yield InputError(
            STRATEGY,
            strategy.kind,
            "your own strategy is given every client's weights, which federation.secure_aggregation hides from the "
            "server: take an optimiser such as fedadam, which needs only their mean",
        )
    if private is not None and private.noise == "central":
        yield InputError(
            STRATEGY,
            strategy.kind,
            "the central noise of federation.client_level_dp is made for the mean of all updates, and your own "
            "strategy is given every client's weights: take noise local, or an optimiser such as fedadam",
        )
