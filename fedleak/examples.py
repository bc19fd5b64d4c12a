"""Image conventions: the stored form, the network input, and the displayed form.

Shapes are ``(C, H, W)``. Stored and transmitted images are uint8 in [0, 255]; compared and displayed images are
float32 in [0, 1]; networks take normalised images, ``(x - mean) / std`` for each channel. To support another kind of
data, change this file, the networks and the image metrics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

InputShape = tuple[int, int, int]
"""``(C, H, W)`` of one image."""

LARGEST = 255
"""Largest stored pixel value."""


@dataclass(frozen=True)
class Normalisation:
    """Per-channel mean and standard deviation, for images in [0, 1].

    Fixed constants shared by all parties of the federation; never computed from a client's data.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def constants(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, ``(C, 1, 1)`` each, of the dtype and on the device of ``like``."""
        mean, std = (like.new_tensor(values).reshape(-1, 1, 1) for values in (self.mean, self.std))
        return mean, std

    def apply(self, images: Tensor) -> Tensor:
        """Images ``(..., C, H, W)`` in [0, 1] -> normalised network input."""
        mean, std = self.constants(images)
        return (images - mean) / std

    def undo(self, normalised: Tensor) -> Tensor:
        """The inverse of ``apply``; not clamped to [0, 1]."""
        mean, std = self.constants(normalised)
        return normalised * std + mean


def to_unit(stored: Tensor | NDArray[np.uint8], device: torch.device | None = None) -> Tensor:
    """Stored images, uint8 in [0, 255] -> float32 in [0, 1].

    Raises:
        TypeError: for another type, whose range is not known here.
    """
    if stored.dtype not in (torch.uint8, np.uint8):
        raise TypeError(f"stored images are uint8, not {stored.dtype}; scale them to [0, 255] first")
    tensor = stored if isinstance(stored, Tensor) else torch.from_numpy(np.ascontiguousarray(stored))
    return tensor.to(device, torch.float32) / LARGEST


def to_picture(image: Tensor) -> NDArray[np.uint8]:
    """One image ``(C, H, W)`` in [0, 1] -> array for an image file, ``(H, W)`` or ``(H, W, C)`` uint8."""
    pixels: NDArray[np.uint8] = (image.clamp(0, 1) * LARGEST).round().byte().permute(1, 2, 0).numpy()
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
