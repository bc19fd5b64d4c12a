"""Partitions made of shards of label-sorted data."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from fedleak import limits
from fedleak.data.partition.base import Partition


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
