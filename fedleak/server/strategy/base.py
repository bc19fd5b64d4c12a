"""Base class of server strategies."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

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
