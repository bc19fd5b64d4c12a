"""Partitions in which every client holds only a few classes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from fedleak import limits
from fedleak.data.partition.base import Indices, Partition
from fedleak.errors import InputError


class ByClass(Partition):
    """Every client holds images of only ``classes_per_client`` classes."""

    kind: Literal["by_class"] = "by_class"
    classes_per_client: int = Field(default=2, ge=1, le=limits.CLASSES)
    """Classes that each client holds."""

    def partitioner(self, *, clients: int, seed: int) -> Any:
        """flwr-datasets' PathologicalPartitioner with deterministic class assignment."""
        from flwr_datasets.partitioner import PathologicalPartitioner

        return PathologicalPartitioner(
            num_partitions=clients,
            partition_by="label",
            num_classes_per_partition=self.classes_per_client,
            class_assignment_mode="deterministic",
            seed=seed % 2**32,
        )

    def split(self, labels: Indices, *, clients: int, seed: int) -> tuple[Indices, ...]:
        """Partition ``labels`` ``(N,)``; classes that no client was assigned remain unused.

        Raises:
            InputError: if a client should hold more classes than there are, or a class has fewer images than clients.
        """
        classes = len(np.unique(labels))
        if clients <= len(labels) and self.classes_per_client > classes:
            raise InputError(
                "federation.partition.classes_per_client",
                self.classes_per_client,
                f"the private images are of {classes} classes; at most that many",
            )
        return super().split(labels, clients=clients, seed=seed)
