"""Settings of the federation: the block ``federation``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedleak import limits
from fedleak.client.client_level_dp import ClientLevelDp
from fedleak.component import Settings
from fedleak.scenario.choices import (
    AggregationChoice,
    ClientIndex,
    PartitionChoice,
    RoundNumber,
    StalenessChoice,
    StrategyChoice,
)
from fedleak.scenario.client import ClientSettings
from fedleak.scenario.engine import FederationEngine
from fedleak.server.secure_aggregation import SecureAggregation


class ServerSettings(Settings):
    """Settings of the server's aggregation."""

    learning_rate: float | None = Field(default=None, gt=0, le=limits.RATE)
    """Factor of every update (default: 0.1 for fedsgd, 1.0 for fedavg)."""
    aggregation: AggregationChoice | None = None
    """Aggregation rule for the updates of a round (default: their mean, weighted by number of images)."""
    strategy: StrategyChoice | None = Field(default=None, exclude_if=lambda value: value is None)
    """Flower strategy that computes the new model, such as FedAdam, or your own (default: step along the mean)."""


class Fault(Settings):
    """An injected failure, to study and test how a federation handles it."""

    round: RoundNumber
    """Round of the failure, from 1."""
    client: ClientIndex
    """Number of the client that fails, from 0."""
    mode: Literal["raise", "silent", "exit", "nan"]
    """``raise`` an error; ``silent``: do not reply; ``exit``: end the worker process; ``nan``: share NaN values."""


class Federation(Settings):
    """The federation under attack."""

    clients: int = Field(default=4, ge=2, le=limits.CLIENTS)
    """Number of clients."""
    rounds: int = Field(default=5, ge=1, le=limits.ROUNDS)
    """Number of rounds."""
    clients_per_round: int | None = Field(default=None, ge=1, le=limits.CLIENTS)
    """Number of clients sampled in each round (default: all)."""
    partition: PartitionChoice = Field(default={"kind": "iid"}, validate_default=True)
    """How the images are divided among the clients."""
    client: ClientSettings = ClientSettings()
    staleness: StalenessChoice = Field(default={"kind": "fixed", "lag": 0}, validate_default=True)
    """How old the models are that clients compute on (default: current, synchronous)."""
    server: ServerSettings = ServerSettings()
    client_level_dp: ClientLevelDp | None = None
    """Clip each client's update as a whole and add noise; epsilon is reported (needs ``fedleak[dp]``; default: off)."""
    secure_aggregation: SecureAggregation | None = None
    """The server, and so the adversary, sees only the sum of a round's updates (default: every update)."""
    engine: FederationEngine = FederationEngine()
    randomness: Literal["repeatable", "system"] = "repeatable"
    """Source of the secret behind everything that clients draw at random: ``repeatable``: the seed and the private
    images, so that the same scenario gives the same bytes; ``system``: the operating system, so that even who has the
    images cannot recompute batches or noise; the run cannot be repeated."""
    faults: tuple[Fault, ...] = ()

    @property
    def sharing_client(self) -> ClientSettings:
        """The client's settings, with the steps of client-level privacy appended to ``postprocess``."""
        if self.client_level_dp is None:
            return self.client
        steps = (*self.client.postprocess, *self.client_level_dp.steps)
        return self.client.model_copy(update={"postprocess": steps})

    @property
    def server_learning_rate(self) -> float:
        """The server's learning rate, or its default for the protocol."""
        if self.server.learning_rate is not None:
            return self.server.learning_rate
        return 0.1 if self.client.protocol == "fedsgd" else 1.0
