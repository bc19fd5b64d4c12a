"""What every analysis is: one value per image that needs the leaked model, where a metric compares two pictures."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedleak.component import Component


@dataclass(frozen=True, eq=False)
class LeakedBatch:
    """The batch behind one update, and the model that the update was computed on.

    Attributes:
        module: the network as it was broadcast, in evaluation mode, on the device of the images.
        images: the victim's own, ``(B, C, H, W)`` in [0, 1].
        labels: the true ones, ``(B,)``.
        mean, std: of the normalisation that precedes the network.
    """

    module: nn.Module
    images: Tensor
    labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def logits(self, images: Tensor) -> Tensor:
        """What the network makes of images in [0, 1]."""
        shift, scale = (torch.tensor(value, dtype=images.dtype).reshape(-1, 1, 1) for value in (self.mean, self.std))
        logits: Tensor = self.module((images - shift) / scale)
        return logits


class Analysis(Component):
    """One value for each image of an update; the kind is the column's name.

    The images are the victims' own, for only at them can the value be set beside how well the same image was rebuilt.
    It is known to scoring alone: no attack sees it.
    """

    @abstractmethod
    def evaluate(self, leaked: LeakedBatch, *, generator: torch.Generator) -> Tensor:
        """``(B,)``."""


@contextmanager
def differentiable(module: nn.Module) -> Iterator[list[nn.Parameter]]:
    """The parameters of ``module``, which ask for gradients inside the block."""
    parameters = list(module.parameters())
    asked = [parameter.requires_grad for parameter in parameters]
    module.requires_grad_(True)
    try:
        yield parameters
    finally:
        for parameter, before in zip(parameters, asked, strict=True):
            parameter.requires_grad_(before)
