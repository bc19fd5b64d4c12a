"""The Street View House Numbers data set."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fedleak.data.sources.base import LabelledImages
from fedleak.data.sources.torchvision_copy import TorchvisionDataset

DIGITS = tuple("0123456789")


class Svhn(TorchvisionDataset):
    """Street View House Numbers, 73,257 + 26,032 colour images of 32x32 in ten classes (Netzer et al. 2011)."""

    kind: Literal["svhn"] = "svhn"

    def read(self, folder: str, *, train: bool) -> tuple[LabelledImages, tuple[str, ...]]:
        """Read one split from ``train_32x32.mat`` or ``test_32x32.mat`` in ``folder``."""
        from torchvision.datasets import SVHN

        split = SVHN(folder, split="train" if train else "test", download=self.download)
        return LabelledImages(np.ascontiguousarray(split.data), split.labels), DIGITS
