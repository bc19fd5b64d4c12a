"""Base class of ways to craft a client's model."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import nn

from fedleak.component import Component
from fedleak.tensors import NamedTensors


class Crafting(Component):
    """Base class of crafting: changes the model sent to single clients, not the global model or what others receive.

    The federation calls ``craft`` for every client and round, records the sent model in the transcript if it differs
    from the broadcast one, and then aggregates the replies honestly. Injected pairs are
    answered on the broadcast model.
    """

    @abstractmethod
    def craft(
        self, model: nn.Module, *, client: int, round_number: int, generator: torch.Generator
    ) -> NamedTensors | None:
        """All parameters and buffers sent to ``client`` instead of those of ``model``; None to send ``model`` itself.

        Args:
            model: a copy of the model that the client would get; may be modified.
            client: partition id.
            round_number: counted from 1.
            generator: random generator of the adversary's draws.
        """
