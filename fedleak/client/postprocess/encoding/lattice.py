"""Detection of values that are integer multiples of one step, as quantisers produce them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
MOST_LEVELS = 2**15 - 1
MOST_DIVISORS = 256
"""Largest level of the smallest magnitude; a short tensor may not use the lowest levels of a quantiser."""
SAMPLE = 64


@dataclass(frozen=True)
class Lattice:
    """``value = level * step`` exactly, in float32, with ``|level| <= highest``."""

    step: np.float32
    highest: int
    levels: NDArray[np.int32]


def find_lattice(values: Floats) -> Lattice | None:
    """The coarsest lattice that contains all of the non-zero values ``(n,)`` exactly; None if there is none."""
    if not len(values):
        return None
    magnitudes = np.abs(values)
    smallest, largest = magnitudes.min(), magnitudes.max()
    if not 0 < smallest <= largest < np.inf or float(largest) / float(smallest) > MOST_LEVELS:
        return None
    for step in _candidates(smallest, magnitudes[:SAMPLE]):
        with np.errstate(over="ignore"):
            levels = np.rint(values / step)
            fits = largest / step <= MOST_LEVELS and np.array_equal(levels * step, values)
        if fits:
            return Lattice(step, int(np.rint(largest / step)), levels.astype(np.int32))
    return None


def _candidates(smallest: np.float32, sample: Floats) -> Floats:
    """Steps of which the smallest value is an integer multiple, up to rounding, and the sample exactly."""
    whole = smallest / np.arange(1, MOST_DIVISORS + 1, dtype=np.float32)
    above, below = np.nextafter(whole, np.float32(np.inf)), np.nextafter(whole, np.float32(0))
    steps = np.stack([whole, above, below], axis=1).reshape(-1, 1)
    steps = steps[steps[:, 0] > 0]
    with np.errstate(over="ignore"):
        fits = np.rint(sample / steps) * steps == sample
    found: Floats = steps[fits.all(axis=1), 0]
    return found


def restore(levels: NDArray[np.int32], step: np.float32) -> Floats:
    """The values of a lattice."""
    with np.errstate(over="ignore"):
        return levels.astype(np.float32) * step
