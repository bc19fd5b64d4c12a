"""What every way to craft a client's model is."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import nn

from fedleak.component import Component
from fedleak.tensors import NamedTensors


class Crafting(Component):
    """Changes the model that single clients are sent; the global model, and what others are sent, stay as they are.

    The federation calls ``craft`` for every client and round, writes what was sent into the transcript where it differs
    from the broadcast model, and goes on with the honest aggregation of the replies. Injected
    pairs are answered on the broadcast model.
    """

    @abstractmethod
    def craft(
        self, model: nn.Module, *, client: int, round_number: int, generator: torch.Generator
    ) -> NamedTensors | None:
        """All parameters and buffers that ``client`` is sent instead of those of ``model``; None to leave it alone.

        Args:
            model: a copy of the model that the client would be sent, which may be changed.
            client: partition id.
            round_number: counted from 1.
            generator: of the adversary's own draws.
        """
