"""Independent and identically distributed partitions."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from fedleak.data.partition.base import Indices, Partition


class Iid(Partition):
    """Every client gets a uniform random share of equal size."""

    kind: Literal["iid"] = "iid"

    def partitioner(self, *, clients: int, seed: int) -> Any:
        """flwr-datasets' IidPartitioner."""
        from flwr_datasets.partitioner import IidPartitioner

        return IidPartitioner(num_partitions=clients)

    def split(self, labels: Indices, *, clients: int, seed: int) -> tuple[Indices, ...]:
        """Shuffle before partitioning, because the library's partitioner keeps file order, often sorted by class."""
        order = np.random.default_rng(seed).permutation(len(labels))
        parts = super().split(labels[order], clients=clients, seed=seed)
        return tuple(np.sort(order[part]) for part in parts)
