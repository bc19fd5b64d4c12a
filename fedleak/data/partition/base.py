"""Base class of partition schemes, with an adapter for the partitioners of flwr-datasets."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedleak.component import Component
from fedleak.errors import InputError

Indices = NDArray[np.int64]


class Partition(Component):
    """Base class of partitions: labels -> one sorted index list per client."""

    @abstractmethod
    def partitioner(self, *, clients: int, seed: int) -> Any:
        """The flwr-datasets partitioner that does the work."""

    def split(self, labels: Indices, *, clients: int, seed: int) -> tuple[Indices, ...]:
        """Partition ``labels`` ``(N,)`` among ``clients`` clients; parts are disjoint and need not cover all N.

        Raises:
            InputError: if there are too few images for the scheme, or a client would get none.
        """
        from datasets import Dataset

        if clients > len(labels):
            raise InputError("federation.clients", clients, f"there are only {len(labels)} private images")
        partitioner = self.partitioner(clients=clients, seed=seed)
        partitioner.dataset = Dataset.from_dict({"index": np.arange(len(labels)), "label": labels})
        try:
            parts = [np.sort(np.asarray(partitioner.load_partition(i)["index"])) for i in range(clients)]
        except (ValueError, ZeroDivisionError) as error:
            raise InputError("federation.partition", self.kind, f"{len(labels)} images: {error}") from error
        for client, part in enumerate(parts):
            if len(part) == 0:
                raise InputError(
                    "federation.partition",
                    self.kind,
                    f"client {client} of {clients} would hold no image; use fewer clients or more data",
                )
        return tuple(part.astype(np.int64) for part in parts)
