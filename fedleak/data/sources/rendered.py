"""Generated images with readable fine detail: clocks, numbers, words."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fedleak import limits
from fedleak.data.sources.base import Dataset, DatasetSplits, Images, LabelledImages
from fedleak.data.sources.drawing import CONTENTS, ContentName, masks
from fedleak.data.sources.pixels import Channels

CONTRAST = 0.5
"""Minimum contrast between plate and ink, in every channel."""


class Rendered(Dataset):
    """Clocks, numbers or words on smooth backgrounds, generated from a seed; the metric ``readout`` reads them.

    Modelled on the images with semantic details of Du et al. 2024 (arXiv 2404.05403, section 4.2.2). The class is the
    hour of a clock, the sum of a number's digits modulo ten, or the first letter of a word.
    """

    kind: Literal["rendered"] = "rendered"
    content: ContentName = "clock"
    """What the images show."""
    length: int = Field(default=3, ge=1, le=6)
    """Number of digits or letters."""
    size: int = Field(default=32, ge=16, le=256)
    """Height and width in pixels."""
    channels: Channels = 3
    """Channels; 1: grey; 3: colour."""
    images: int = Field(default=2000, ge=10, le=limits.IMAGES)
    """Number of training images; the test split has a fifth as many in addition."""
    seed: int = Field(default=0, ge=0, le=limits.SEED)
    """Seed of the images; independent of the scenario's."""

    def load(self) -> DatasetSplits:
        """Generate both splits: symbols, colours, position, size and background are random."""
        images, symbols = self.draw(self.images + self.images // 5, np.random.default_rng(self.seed))
        content = CONTENTS[self.content]
        everything = LabelledImages(images, content.label(symbols))
        index = np.arange(len(everything))
        return DatasetSplits(
            train=everything.take(index[: self.images]),
            test=everything.take(index[self.images :]),
            class_names=content.class_names,
            normalisation=self.normalisation(self.channels),
        )

    def draw(self, count: int, generator: np.random.Generator) -> tuple[Images, NDArray[np.int64]]:
        """``count`` images, and the symbols ``(count, K)`` that they show."""
        values = CONTENTS[self.content].symbols(self.length)
        symbols = generator.integers(values, size=(count, len(values)))
        places = generator.uniform((0.45, 0.45, 0.4), (0.55, 0.55, 0.46), size=(count, 3))
        ground = self._backgrounds(count, generator)
        plates, inks = _colours(count, self.channels, generator)
        images = np.empty((count, self.channels, self.size, self.size), dtype=np.uint8)
        for i in range(count):
            plate, ink = masks(self.content, symbols[i].tolist(), side=self.size, at=tuple(places[i]))
            pixels = ground[i] * (1 - plate) + plates[i] * plate
            images[i] = np.rint(255 * (pixels * (1 - ink) + inks[i] * ink))
        return images, symbols

    def _backgrounds(self, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Linear colour gradients across the image."""
        axis = (np.arange(self.size) + 0.5) / self.size - 0.5
        colour, down, right = generator.uniform((0.2, -0.4, -0.4), (0.8, 0.4, 0.4), (count, self.channels, 3)).T
        slopes = down.T[..., None, None] * axis[:, None] + right.T[..., None, None] * axis
        ground: NDArray[np.float64] = (colour.T[..., None, None] + slopes).clip(0, 1)
        return ground


def _colours(count: int, channels: int, generator: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
    """Colours of plates and of ink, ``(count, channels, 1, 1)``: dark on light, or light on dark."""
    size = (count, channels, 1, 1)
    light = generator.uniform(0.5 + CONTRAST / 2, 1, size)
    dark = generator.uniform(0, 0.5 - CONTRAST / 2, size)
    swapped = generator.random((count, 1, 1, 1)) < 0.5
    return np.where(swapped, dark, light), np.where(swapped, light, dark)
