"""The CIFAR-100 data set."""

from __future__ import annotations

from typing import Literal

from fedleak.data.sources.base import LabelledImages
from fedleak.data.sources.torchvision_copy import TorchvisionDataset, from_cifar


class Cifar100(TorchvisionDataset):
    """CIFAR-100, 50,000 + 10,000 colour images of 32x32 in a hundred classes, the fine labels (Krizhevsky 2009)."""

    kind: Literal["cifar100"] = "cifar100"

    def read(self, folder: str, *, train: bool) -> tuple[LabelledImages, tuple[str, ...]]:
        """Read one split from ``cifar-100-python`` below ``folder``."""
        from torchvision.datasets import CIFAR100

        return from_cifar(CIFAR100(folder, train=train, download=self.download))
