"""Corrupted private images."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fedleak.data.shift.base import Shift
from fedleak.data.shift.corruptions import CorruptionName, corrupted
from fedleak.data.sources.base import DatasetSplits, LabelledImages


class Corruption(Shift):
    """Private images have a common corruption, public ones do not (Hendrycks & Dietterich 2019, arXiv 1903.12261)."""

    kind: Literal["corruption"] = "corruption"
    name: CorruptionName = "gaussian_noise"
    """The corruption of the clients' images."""
    severity: int = Field(default=3, ge=1, le=5)
    """Severity as in the benchmark for the image size: CIFAR-10-C below 64 pixels, Tiny-ImageNet-C below 128, else
    ImageNet-C."""

    def eligible(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Every image may be public or private."""
        return np.ones(len(labels), dtype=bool), np.ones(len(labels), dtype=bool)

    def deal(
        self, splits: DatasetSplits, *, public: int, generator: np.random.Generator
    ) -> tuple[LabelledImages, LabelledImages]:
        """Split as without a shift, then corrupt the private images."""
        clean, private = super().deal(splits, public=public, generator=generator)
        return clean, LabelledImages(corrupted(private.images, self.name, self.severity, generator), private.labels)
