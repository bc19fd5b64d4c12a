"""Generated images: coloured shapes on smooth backgrounds."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fedleak import limits
from fedleak.data.sources.base import Dataset, DatasetSplits, LabelledImages

SHAPES = ("disc", "square", "ring", "cross", "stripes")


class Synthetic(Dataset):
    """Coloured shapes on smooth backgrounds, generated from a seed; for experiments without data files."""

    kind: Literal["synthetic"] = "synthetic"
    size: int = Field(default=32, ge=8, le=256)
    """Height and width in pixels."""
    images: int = Field(default=2000, ge=10, le=limits.IMAGES)
    """Number of training images; the test split has a fifth as many in addition."""
    seed: int = Field(default=0, ge=0, le=limits.SEED)
    """Seed of the images; independent of the scenario's."""

    def load(self) -> DatasetSplits:
        """Generate both splits: the class is the shape; colour, position, size and background are random."""
        generator = np.random.default_rng(self.seed)
        everything = self._draw(self.images + self.images // 5, generator)
        index = np.arange(len(everything))
        return DatasetSplits(
            train=everything.take(index[: self.images]),
            test=everything.take(index[self.images :]),
            class_names=SHAPES,
            normalisation=self.normalisation(3),
        )

    def _draw(self, count: int, generator: np.random.Generator) -> LabelledImages:
        labels = generator.integers(len(SHAPES), size=count)
        centre = generator.uniform(0.3, 0.7, size=(count, 2, 1, 1))
        radius = generator.uniform(0.15, 0.3, size=(count, 1, 1))
        axis = (np.arange(self.size) + 0.5) / self.size
        y, x = axis[None, :, None] - centre[:, 0], axis[None, None, :] - centre[:, 1]
        mask = _mask(labels[:, None, None], x / radius, y / radius)[:, None]
        colours = generator.uniform(size=(2, count, 3, 1, 1))
        slope = generator.uniform(-0.4, 0.4, size=(2, count, 3, 1, 1))
        background = colours[0] + slope[0] * x[:, None] + slope[1] * y[:, None]
        images = np.where(mask, colours[1], background).clip(0, 1)
        return LabelledImages(np.rint(images * 255).astype(np.uint8), labels.astype(np.int64))


def _mask(labels: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask of each shape, in coordinates in which its radius is one."""
    distance = np.hypot(x, y)
    inside = np.maximum(np.abs(x), np.abs(y)) < 1
    shapes = [
        distance < 1,
        inside,
        (distance < 1) & (distance > 0.55),
        inside & ((np.abs(x) < 0.3) | (np.abs(y) < 0.3)),
        inside & (np.floor(2.5 * (x + y)) % 2 == 0),
    ]
    return np.choose(labels, shapes)
