"""Lags of many clients and rounds."""

from __future__ import annotations

import numpy as np

from fedleak import seeds
from fedleak.server.staleness.base import Staleness


def lags(staleness: Staleness, *, clients: int = 3, rounds: int = 400) -> np.ndarray:
    """``(clients, rounds)``, drawn as a plan draws them."""
    return np.array(
        [
            [
                staleness.lag_of(client, number, generator=seeds.numpy_generator(0, "staleness", number, client))
                for number in range(1, rounds + 1)
            ]
            for client in range(clients)
        ]
    )
