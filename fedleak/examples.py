"""What an example is: its shape, its stored form, the network input, the displayed form, and which metrics apply.

A data set holds examples of one ``ExampleKind``; images are the kind in ``KINDS``. Stored and transmitted images are
uint8 ``(C, H, W)`` in [0, 255]; compared and displayed ones are float32 in [0, 1]; networks take normalised ones,
``(x - mean) / std`` for each channel. To support another kind of data, add a class here; docstrings elsewhere that say
``(C, H, W)`` describe images, but code that does more than compare values asks the kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

InputShape = tuple[int, ...]
"""Shape of one example, ``(C, H, W)`` of an image."""
Stored = NDArray[np.uint8]
"""Examples as clients hold and send them; another kind may store float32 in [0, 1]."""

LARGEST = 255
"""Largest stored pixel value."""


class ExampleKind(ABC):
    """Base class of kinds of examples; a kind is recognised by the number of axes of one example.

    Attributes:
        name: in messages, plural.
        axes: the axes of one example.
        stored: dtype of stored and transmitted examples.
        metrics: what metrics may compare: always ``values``, and ``images`` if two axes are height and width.
    """

    name: ClassVar[str]
    axes: ClassVar[tuple[str, ...]]
    stored: ClassVar[np.dtype[np.generic]]
    metrics: ClassVar[frozenset[str]]

    @abstractmethod
    def to_picture(self, example: Tensor) -> Stored:
        """One example in [0, 1] -> array for an image file, ``(H, W)`` or ``(H, W, 3)`` uint8."""


class ImageKind(ExampleKind):
    """Greyscale and colour images."""

    name = "images"
    axes = ("C", "H", "W")
    stored = np.dtype(np.uint8)
    metrics = frozenset({"values", "images"})

    def to_picture(self, example: Tensor) -> Stored:
        """``(C, H, W)`` -> ``(H, W)`` or ``(H, W, C)``."""
        pixels: Stored = (example.clamp(0, 1) * LARGEST).round().byte().permute(1, 2, 0).numpy()
        return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


IMAGES = ImageKind()
KINDS: tuple[ExampleKind, ...] = (IMAGES,)
"""The known kinds, each with another number of axes."""


def kind_of(shape: InputShape) -> ExampleKind:
    """The kind of examples of one shape.

    Raises:
        ValueError: if no kind has so many axes.
    """
    for kind in KINDS:
        if len(kind.axes) == len(shape):
            return kind
    known = ", ".join(f"{kind.name} ({', '.join(kind.axes)})" for kind in KINDS)
    raise ValueError(f"examples of shape {tuple(shape)} are of no known kind; known: {known}")


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation for examples in [0, 1]: one for each channel, or one for all values.

    Fixed constants shared by all parties of the federation; never computed from a client's data.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def constants(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, of the dtype and on the device of ``like``.

        ``(C, 1, 1)`` each; without axes if there is one for all values.
        """
        if len(self.mean) == 1:
            return like.new_tensor(self.mean[0]), like.new_tensor(self.std[0])
        mean, std = (like.new_tensor(values).reshape(-1, 1, 1) for values in (self.mean, self.std))
        return mean, std

    def apply(self, images: Tensor) -> Tensor:
        """Examples ``(..., C, H, W)`` in [0, 1] -> normalised network input."""
        mean, std = self.constants(images)
        return (images - mean) / std

    def undo(self, normalised: Tensor) -> Tensor:
        """The inverse of ``apply``; not clamped to [0, 1]."""
        mean, std = self.constants(normalised)
        return normalised * std + mean


def to_unit(stored: Tensor | Stored, device: torch.device | None = None) -> Tensor:
    """Stored examples, uint8 in [0, 255] or float32 in [0, 1] -> float32 in [0, 1].

    Raises:
        TypeError: for another type, whose range is not known here.
    """
    if stored.dtype not in (torch.uint8, np.uint8, torch.float32, np.float32):
        raise TypeError(f"stored examples are uint8 or float32, not {stored.dtype}; scale them to [0, 255] first")
    tensor = stored if isinstance(stored, Tensor) else torch.from_numpy(np.ascontiguousarray(stored))
    values = tensor.to(device, torch.float32)
    return values if tensor.is_floating_point() else values / LARGEST


def to_picture(example: Tensor) -> Stored:
    """One example in [0, 1] -> array for an image file, as its kind shows it."""
    return kind_of(tuple(example.shape)).to_picture(example)
