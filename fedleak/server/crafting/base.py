"""Base class of ways to craft a client's model."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits
from fedleak.component import Component
from fedleak.examples import InputShape, Normalisation, to_unit
from fedleak.models.base import Model
from fedleak.tensors import NamedTensors

CraftedClient = Annotated[int, Field(ge=0, lt=limits.CLIENTS)]
CraftedRound = Annotated[int, Field(ge=1, le=limits.ROUNDS)]


class UnfitCraftingError(ValueError):
    """A model that cannot be crafted in the wanted way; the message says why."""


@dataclass(frozen=True)
class CraftingKnowledge:
    """What a malicious server knows when it crafts: constants of the task, and the adversary's own images.

    Attributes:
        input_shape: of one image.
        classes: of the data set.
        normalisation: of the images that networks take.
        images: public images, uint8 ``(N, C, H, W)``; none without ``public_data``.
        labels: of the public images, ``(N,)``.
    """

    input_shape: InputShape
    classes: int
    normalisation: Normalisation
    images: Tensor
    labels: Tensor

    @property
    def inputs(self) -> Tensor:
        """The public images as networks take them, float32 ``(N, C, H, W)``.

        Raises:
            UnfitCraftingError: if there are none.
        """
        if len(self.images) < 2:
            raise UnfitCraftingError(f"it needs public images; there are {len(self.images)} (adversary.public_images)")
        return self.normalisation.apply(to_unit(self.images))


class Crafting(Component):
    """Base class of crafting: changes the model sent to single clients, not the global model or what others receive.

    The federation calls ``craft`` for every targeted client and round, records the sent model in the transcript if it
    differs from the broadcast one, and then aggregates the replies honestly. Injected pairs are answered on the
    broadcast model.
    """

    uses_public_data: ClassVar[bool] = False
    """Whether it looks at the adversary's public images, so that the scenario must grant ``public_data``."""
    tells_clients_apart: ClassVar[bool] = False
    """Whether every client is sent another model."""

    clients: Literal["all"] | tuple[CraftedClient, ...] = "all"
    """``all`` clients are sent crafted models, or those of a list of their numbers, from 0."""
    rounds: Literal["all"] | tuple[CraftedRound, ...] = "all"
    """``all`` rounds, or a list of their numbers, from 1."""

    def targets(self, client: int, round_number: int) -> bool:
        """Whether a client is sent a crafted model in a round."""
        return (self.clients == "all" or client in self.clients) and (
            self.rounds == "all" or round_number in self.rounds
        )

    def declare(self, model: Model, *, clients: int) -> Model:
        """The network that all clients are told to train: by default the ``model`` of the scenario."""
        return model

    @abstractmethod
    def craft(
        self,
        model: nn.Module,
        known: CraftingKnowledge,
        *,
        client: int,
        round_number: int,
        generator: torch.Generator,
    ) -> NamedTensors | None:
        """All parameters and buffers sent to ``client`` instead of those of ``model``; None to send ``model`` itself.

        Args:
            model: a copy of the model that the client would get; may be modified.
            known: what the adversary knows.
            client: partition id.
            round_number: counted from 1.
            generator: random generator of the adversary's draws, another one for every client and round.

        Raises:
            UnfitCraftingError: if the model cannot be crafted; for the first model, the scenario is then refused.
        """
