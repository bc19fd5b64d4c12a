"""Checks for local training and the server's optimiser, which exclude settings that would make them another method."""

from __future__ import annotations

from collections.abc import Iterator

from fedleak.errors import InputError
from fedleak.scenario.schema import Scenario


def check_training(scenario: Scenario) -> Iterator[InputError]:
    """Conflicts with the clients' local objective."""
    client = scenario.federation.client
    if client.proximal_mu and client.drift is not None:
        yield InputError(
            "federation.client.proximal_mu",
            client.proximal_mu,
            "the proximal term pulls towards the broadcast model, from which drift moves clients away: remove drift",
        )
