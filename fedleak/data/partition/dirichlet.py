"""Label-skewed partitions drawn from a Dirichlet distribution."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from fedleak import limits
from fedleak.data.partition.base import Partition


class Dirichlet(Partition):
    """Class shares per client from Dirichlet(alpha); small alpha: strong skew (Hsu et al. 2019, arXiv 1909.06335)."""

    kind: Literal["dirichlet"] = "dirichlet"
    alpha: float = Field(default=0.5, gt=0, le=limits.RATE)
    """Concentration; the smaller, the more the clients' classes differ."""
    min_partition_size: int = Field(default=1, ge=1, le=limits.IMAGES)
    """Redraw until every client holds at least this many images."""

    def partitioner(self, *, clients: int, seed: int) -> Any:
        """flwr-datasets' DirichletPartitioner."""
        from flwr_datasets.partitioner import DirichletPartitioner

        return DirichletPartitioner(
            num_partitions=clients,
            partition_by="label",
            alpha=self.alpha,
            min_partition_size=self.min_partition_size,
            seed=seed % 2**32,
        )
