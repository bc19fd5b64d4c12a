"""Base class of data sets that torchvision downloads and reads."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from fedleak.data.sources.base import DatasetSplits, LabelledImages
from fedleak.data.sources.resized import ResizedDataset
from fedleak.errors import InputError


class TorchvisionDataset(ResizedDataset):
    """Base class of torchvision data sets, which are downloaded on first use.

    Torchvision compares each file with a known MD5 sum before opening it. This matters for CIFAR, whose files are
    pickles: no other file is unpickled.
    """

    root: Path = Path("~/.cache/fedleak/datasets")
    """Folder of the torchvision files."""
    download: bool = True
    """Download the files if they are missing."""

    @abstractmethod
    def read(self, folder: str, *, train: bool) -> tuple[LabelledImages, tuple[str, ...]]:
        """One split as torchvision reads it, and the names of the classes.

        Raises:
            OSError, RuntimeError: if it is missing, damaged or cannot be downloaded.
        """

    def load(self) -> DatasetSplits:
        """Read both splits; normalisation is 0.5/0.5 per channel by default."""
        folder = self.root.expanduser()
        try:
            (train, names), (test, _) = (self.read(str(folder), train=train) for train in (True, False))
        except (OSError, RuntimeError) as error:
            raise InputError(
                "dataset.root",
                str(folder),
                f"{self.kind} is missing and could not be downloaded ({error}); for a folder of images use "
                "--set dataset.kind=image_folder --set dataset.root=DIR",
            ) from error
        return DatasetSplits(self.fit_all(train), self.fit_all(test), names, self.normalisation(train.images.shape[1]))


def from_cifar(split: Any) -> tuple[LabelledImages, tuple[str, ...]]:
    """Torchvision's CIFAR: ``(N, H, W, C)`` pixels, a list of labels and the class names."""
    images = np.ascontiguousarray(split.data.transpose(0, 3, 1, 2))
    return LabelledImages(images, np.asarray(split.targets, dtype=np.int64)), tuple(split.classes)
