"""Base class of server strategies."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from fedleak import limits
from fedleak.component import Component

Decay = Annotated[float, Field(ge=0, lt=1)]


class ServerStrategy(Component):
    """Base class of settings of a Flower strategy, which computes the next model from the clients' new weights.

    The room ``federation`` builds the strategy; this one needs no Flower.
    """


class ServerOptimizer(ServerStrategy):
    """Base class of server optimisers: Flower's strategies that step along the mean of a round's updates.

    They are given the broadcast weights plus the mean update times ``federation.server.learning_rate``, as the one
    reply of the round. Their state is kept over all rounds; shared buffers are averaged without them.
    """

    flower: ClassVar[str]
    """Name of the class in ``flwr.serverapp.strategy``; the settings are its arguments."""

    def arguments(self) -> dict[str, float]:
        """Arguments of the class."""
        return self.model_dump(exclude={"kind"})


class AdaptiveOptimizer(ServerOptimizer):
    """Base class of server optimisers that scale each weight's step (Reddi et al. 2021, arXiv 2003.00295)."""

    eta: float = Field(default=0.1, gt=0, le=limits.RATE)
    """The server's learning rate."""
    tau: float = Field(default=1e-3, gt=0, le=limits.RATE)
    """Adaptivity: the smaller, the more each weight's own scale counts."""


class MomentOptimizer(AdaptiveOptimizer):
    """Base class of adaptive server optimisers with decaying means."""

    beta_1: Decay = 0.9
    """Decay rate of the mean of updates."""
    beta_2: Decay = 0.99
    """Decay rate of the mean of squared updates."""
