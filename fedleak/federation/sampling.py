"""Sampling of the images that a client uses in a round, and the key of its local training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedleak import seeds
from fedleak.scenario.schema import ClientSettings


def draw_images(settings: ClientSettings, *, key: str, round_number: int, held: int) -> NDArray[np.int64]:
    """Indices, without repeats, of the images that a client uses in a round, out of the ``held`` ones.

    With ``largest_gradients`` the client's images are already sorted, and the first ones are taken.

    Args:
        settings, round_number: settings of the clients, and the round.
        key: root of the client's streams.
        held: number of images that the client holds.
    """
    count = settings.images_per_update(held)
    if settings.selection == "largest_gradients":
        return np.arange(count, dtype=np.int64)
    generator = seeds.numpy_generator(key, "data", round_number)
    return generator.permutation(held)[:count].astype(np.int64)


def training_key(key: str, round_number: int) -> str:
    """Root of the mini-batch order and the dropout in a round of the client whose streams have the root ``key``."""
    return seeds.key(key, "training", round_number)
