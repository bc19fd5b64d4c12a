"""Sampling of the images that a client uses in a round, and the seed of its local training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedleak import seeds
from fedleak.scenario.schema import ClientSettings


def draw_images(settings: ClientSettings, *, seed: int, round_number: int, client: int, held: int) -> NDArray[np.int64]:
    """Indices, without repeats, of the images that a client uses in a round, out of the ``held`` ones.

    With ``largest_gradients`` the client's images are already sorted, and the first ones are taken.
    """
    count = settings.images_per_update(held)
    if settings.selection == "largest_gradients":
        return np.arange(count, dtype=np.int64)
    generator = seeds.numpy_generator(seed, "client-data", round_number, client)
    return generator.permutation(held)[:count].astype(np.int64)


def training_seed(seed: int, round_number: int, client: int) -> int:
    """Seed of the mini-batch order and the dropout of a client in a round."""
    return seeds.derive(seed, "client", round_number, client)
