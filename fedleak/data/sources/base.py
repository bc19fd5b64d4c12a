"""Base class of data sets: labelled uint8 images, a training and a test split, one fixed normalisation."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fedleak.component import Component
from fedleak.examples import IMAGES, ExampleKind, InputShape, Normalisation, Stored, kind_of

Images = Stored
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledImages:
    """Images ``(N, C, H, W)`` uint8 in [0, 255] and labels ``(N,)`` int64."""

    images: Images
    labels: Labels

    def __post_init__(self) -> None:
        kind = kind_of(self.images.shape[1:])
        if self.images.dtype != kind.stored:
            raise ValueError(f"{kind.name}: expected {kind.stored}, got {self.images.shape} {self.images.dtype}")
        if self.labels.shape != (len(self.images),):
            raise ValueError(f"labels: expected ({len(self.images)},), got {self.labels.shape}")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: NDArray[np.int64]) -> LabelledImages:
        """The rows at ``indices``, copied."""
        return LabelledImages(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class DatasetSplits:
    """A loaded data set: ``train`` is divided between clients and adversary, ``test`` is used by the server."""

    train: LabelledImages
    test: LabelledImages
    class_names: tuple[str, ...]
    normalisation: Normalisation

    @property
    def input_shape(self) -> InputShape:
        """Shape of one example, ``(C, H, W)`` of an image."""
        return self.train.images.shape[1:]


class Dataset(Component):
    """Base class of sources of labelled images, or of examples of another kind."""

    examples: ClassVar[ExampleKind] = IMAGES

    @abstractmethod
    def load(self) -> DatasetSplits:
        """Read the data.

        Raises:
            InputError: if the files are missing or unusable.
        """
