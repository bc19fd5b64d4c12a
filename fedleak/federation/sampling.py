"""Which images a client uses in a round."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedleak import seeds
from fedleak.scenario.schema import ClientSettings


def images_per_update(client: ClientSettings, held: int) -> int:
    """How many images of a client that holds ``held`` go into one update."""
    if client.protocol == "fedsgd":
        return client.batch_size
    return client.samples if client.samples is not None else held


def draw_images(settings: ClientSettings, *, seed: int, round_number: int, client: int, held: int) -> NDArray[np.int64]:
    """Places of the images, among the ``held`` of the client, that it uses in a round; no repeats.

    Where gradients decide, the client's images lie in the order in which it takes them.
    """
    if settings.selection == "largest_gradients":
        return np.arange(images_per_update(settings, held), dtype=np.int64)
    generator = seeds.numpy_generator(seed, "client-data", round_number, client)
    return generator.permutation(held)[: images_per_update(settings, held)].astype(np.int64)
