"""CIFAR-10 through torchvision, which downloads it on first use."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from fedleak.datasets.base import Dataset, DatasetSplits, LabelledImages, Normalisation
from fedleak.errors import InputError


class Cifar10(Dataset):
    """CIFAR-10, 50,000 + 10,000 colour images of 32x32 in ten classes (Krizhevsky 2009)."""

    kind: Literal["cifar10"] = "cifar10"
    root: Path = Path("~/.cache/fedleak/datasets")
    """Folder of the torchvision copy."""
    download: bool = True
    """Fetch the archive when it is not there."""

    def load(self) -> DatasetSplits:
        """Read both splits; normalisation is the usual 0.5/0.5 per channel."""
        train, test = self._open(train=True), self._open(train=False)
        return DatasetSplits(
            train=_to_arrays(train),
            test=_to_arrays(test),
            class_names=tuple(train.classes),
            normalisation=Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        )

    def _open(self, *, train: bool) -> Any:
        from torchvision.datasets import CIFAR10

        folder = self.root.expanduser()
        try:
            return CIFAR10(str(folder), train=train, download=self.download)
        except (OSError, RuntimeError) as error:
            raise InputError(
                "dataset.root",
                str(folder),
                f"CIFAR-10 is not there and could not be fetched ({error}); with a folder of images use "
                "--set dataset.kind=image_folder --set dataset.root=DIR",
            ) from error


def _to_arrays(split: Any) -> LabelledImages:
    images = np.ascontiguousarray(split.data.transpose(0, 3, 1, 2))
    return LabelledImages(images, np.asarray(split.targets, dtype=np.int64))
