"""Features of all pairs, computed once and kept in memory or, if they do not fit, in a file of the cache."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedleak.attacks.generative.features import chunks
from fedleak.attacks.generative.versions import VersionedFeatures
from fedleak.cache import cache_root
from fedleak.threat import InjectedPairs
from fedleak.transcript.rows import RowFile, create_rows

IN_MEMORY_BYTES = 1024 * 2**20
"""Features up to this size are kept in memory."""


class FeatureTable:
    """Standardised features of every pair, computed in one pass over the updates; storage does not change the values.

    Args:
        pairs: the data.
        features: map from updates to features.
    """

    def __init__(self, pairs: InjectedPairs, features: VersionedFeatures) -> None:
        shape = len(pairs), features.of(0).size
        self._kept = torch.empty(shape) if 4 * shape[0] * shape[1] <= IN_MEMORY_BYTES else _nameless_file(shape)
        for part in chunks(np.arange(len(pairs)), pairs.layout.size):
            values = features(pairs.read_updates(part), pairs.versions(part))
            if isinstance(self._kept, RowFile):
                self._kept.write(int(part[0]), values.numpy())
            else:
                self._kept[part[0] : part[-1] + 1] = values

    def read(self, rows: NDArray[np.int64]) -> Tensor:
        """``(n, F)``."""
        if isinstance(self._kept, RowFile):
            return torch.from_numpy(self._kept.read(rows))
        return self._kept[torch.from_numpy(rows)]


def _nameless_file(shape: tuple[int, int]) -> RowFile:
    """Float32 rows in an unlinked file of the cache folder, whose space is freed however the process ends."""
    folder = cache_root() / "features"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder)
    os.close(descriptor)
    try:
        create_rows(Path(name), shape, "float32")
        return RowFile(Path(name), writable=True)
    finally:
        Path(name).unlink()
