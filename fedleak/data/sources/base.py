"""Base class of data sets: labelled uint8 images, a training and a test split, one fixed normalisation."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedleak.component import Component
from fedleak.examples import InputShape, Normalisation

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledImages:
    """Images ``(N, C, H, W)`` uint8 in [0, 255] and labels ``(N,)`` int64."""

    images: Images
    labels: Labels

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise ValueError(f"images: expected (N, C, H, W) uint8, got {self.images.shape} {self.images.dtype}")
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
        """``(C, H, W)`` of one image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


class Dataset(Component):
    """Base class of sources of labelled images."""

    @abstractmethod
    def load(self) -> DatasetSplits:
        """Read the data.

        Raises:
            InputError: if the files are missing or unusable.
        """
