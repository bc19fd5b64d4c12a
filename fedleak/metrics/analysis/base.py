"""What every analysis is: one value per image that needs the leaked model, where a metric compares two pictures."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedleak.component import Component
from fedleak.examples import Normalisation
from fedleak.tasks.base import LearningTask
from fedleak.tasks.classification import CLASSIFICATION


@dataclass(frozen=True, eq=False)
class LeakedBatch:
    """The batch behind one update, and the model that the update was computed on.

    Attributes:
        module: the network as it was broadcast, in evaluation mode, on the device of the images.
        images: the victim's own, ``(B, C, H, W)`` in [0, 1].
        labels: the true ones, ``(B,)``.
        mean, std: of the normalisation that precedes the network.
        places: client of each image, and its place in the client's share of the update; empty if nobody asks.
        task: what the network is trained for.
        classes: of the data set; only tasks that make their targets of the number of classes read it.
    """

    module: nn.Module
    images: Tensor
    labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    places: tuple[tuple[int, int], ...] = ()
    task: LearningTask = CLASSIFICATION
    classes: int = 0

    @property
    def normalisation(self) -> Normalisation:
        """The normalisation alone."""
        return Normalisation(self.mean, self.std)

    @property
    def targets(self) -> Tensor:
        """Of the images, ``(B, ...)``, as the loss of the task takes them."""
        return self.task.targets(self.labels, self.classes)

    def normalised(self, images: Tensor) -> Tensor:
        """Images in [0, 1] as the network takes them."""
        return self.normalisation.apply(images)

    def pixels(self, images: Tensor) -> Tensor:
        """And back."""
        return self.normalisation.undo(images)


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
