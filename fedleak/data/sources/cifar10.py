"""The CIFAR-10 data set."""

from __future__ import annotations

from typing import Literal

from fedleak.data.sources.base import LabelledImages
from fedleak.data.sources.torchvision_copy import TorchvisionDataset, from_cifar


class Cifar10(TorchvisionDataset):
    """CIFAR-10, 50,000 + 10,000 colour images of 32x32 in ten classes (Krizhevsky 2009)."""

    kind: Literal["cifar10"] = "cifar10"

    def read(self, folder: str, *, train: bool) -> tuple[LabelledImages, tuple[str, ...]]:
        """Read one split from ``cifar-10-batches-py`` below ``folder``."""
        from torchvision.datasets import CIFAR10

        return from_cifar(CIFAR10(folder, train=train, download=self.download))
