"""Partitions made of shards of label-sorted data."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from fedleak import limits
from fedleak.data.partition.base import Indices, Partition
from fedleak.errors import InputError


class Shards(Partition):
    """Data sorted by label and cut into shards, a few shards per client (McMahan et al. 2017, arXiv 1602.05629)."""

    kind: Literal["shards"] = "shards"
    shards_per_client: int = Field(default=2, ge=1, le=limits.IMAGES)
    """Shards that each client gets."""

    def partitioner(self, *, clients: int, seed: int) -> Any:
        """flwr-datasets' ShardPartitioner."""
        from flwr_datasets.partitioner import ShardPartitioner

        return ShardPartitioner(
            num_partitions=clients,
            partition_by="label",
            num_shards_per_partition=self.shards_per_client,
            seed=seed % 2**32,
        )

    def split(self, labels: Indices, *, clients: int, seed: int) -> tuple[Indices, ...]:
        """Partition ``labels`` ``(N,)``; images that fill no shard remain unused.

        Raises:
            InputError: if there are fewer images than shards, or a class is in no shard.
        """
        shards, path = clients * self.shards_per_client, "federation.partition.shards_per_client"
        if clients <= len(labels) < shards:
            wanted = f"{clients} clients need {shards} shards of at least one image"
            raise InputError(path, self.shards_per_client, f"{wanted}; there are {len(labels)} private images")
        parts = super().split(labels, clients=clients, seed=seed)
        lost = np.setdiff1d(labels, labels[np.concatenate(parts)])
        if len(lost):
            raise InputError(
                path,
                self.shards_per_client,
                f"{len(labels)} private images do not fill {shards} shards of one size, and no client would hold an "
                f"image of class {', '.join(map(str, lost[:5]))}: choose another number, or partition dirichlet",
            )
        return parts
