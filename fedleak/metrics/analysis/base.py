"""Base class of analyses: one value per image, computed with the leaked model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedleak.component import Component
from fedleak.examples import Normalisation
from fedleak.models.state import trainable
from fedleak.tasks.base import LearningTask
from fedleak.tasks.classification import CLASSIFICATION


@dataclass(frozen=True, eq=False)
class LeakedBatch:
    """The batch behind one update, and the model that the update was computed on.

    Attributes:
        module: the network as broadcast, in evaluation mode, on the device of the images.
        images: the victim's images, ``(B, C, H, W)`` in [0, 1].
        labels: the true labels, ``(B,)``.
        mean, std: of the normalisation that precedes the network.
        places: client of each image, and its position in the client's part of the update; empty if not needed.
        task: learning task of the network.
        classes: of the data set; used only by tasks whose targets depend on the number of classes.
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
        """The normalisation as one object."""
        return Normalisation(self.mean, self.std)

    @property
    def targets(self) -> Tensor:
        """Targets of the images, ``(B, ...)``, for the loss of the task."""
        return self.task.targets(self.labels, self.classes)

    def normalised(self, images: Tensor) -> Tensor:
        """Images in [0, 1] -> normalised inputs of the network."""
        return self.normalisation.apply(images)

    def pixels(self, images: Tensor) -> Tensor:
        """Normalised inputs of the network -> images in [0, 1]."""
        return self.normalisation.undo(images)


class Analysis(Component):
    """Base class of analyses: one value for each image of an update; the kind is the name of the column.

    Analyses use the victims' own images, so that the value can be compared with the reconstruction of the same image.
    They run at scoring only; attacks do not see them.
    """

    @abstractmethod
    def evaluate(self, leaked: LeakedBatch, *, generator: torch.Generator) -> Tensor:
        """One value per image, ``(B,)``."""


@contextmanager
def differentiable(module: nn.Module) -> Iterator[list[nn.Parameter]]:
    """The trained parameters of ``module`` (all if none is), which require gradients inside the block."""
    parameters = list((trainable(module) or dict(module.named_parameters())).values())
    asked = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        yield parameters
    finally:
        for parameter, before in zip(parameters, asked, strict=True):
            parameter.requires_grad_(before)
