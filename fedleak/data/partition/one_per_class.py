"""Partitions without repeated classes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from fedleak import limits
from fedleak.data.partition.base import Indices, Partition
from fedleak.errors import InputError


class OnePerClass(Partition):
    """Every client holds one image each of ``classes_per_client`` classes, so that no batch repeats a class.

    Label restoration is evaluated without repeated classes (Yin et al. 2021, arXiv 2104.07586, Table 1). Each client
    takes the classes with the most images left; ties are broken at random.
    """

    kind: Literal["one_per_class"] = "one_per_class"
    classes_per_client: int | None = Field(default=None, ge=1, le=limits.CLASSES)
    """Number of classes (default: all that the data allow)."""

    def partitioner(self, *, clients: int, seed: int) -> Any:
        """Not used: no partitioner of the library works this way; ``split`` does it directly."""
        raise NotImplementedError("one_per_class has its own split")

    def split(self, labels: Indices, *, clients: int, seed: int) -> tuple[Indices, ...]:
        """Partition ``labels`` ``(N,)``; many images may remain unused.

        Raises:
            InputError: if there are fewer classes, or images of them, than the clients need.
        """
        if clients > len(labels):
            raise InputError("federation.clients", clients, f"there are only {len(labels)} private images")
        generator = np.random.default_rng(seed)
        stock = {int(label): generator.permutation(np.flatnonzero(labels == label)).tolist() for label in set(labels)}
        wanted = self.classes_per_client or min(len(stock), len(labels) // clients)
        if wanted > len(stock):
            raise InputError("federation.partition.classes_per_client", wanted, f"there are {len(stock)} classes")
        parts = []
        for client in range(clients):
            order = generator.permutation(sorted(stock))
            chosen = sorted(order, key=lambda label: -len(stock[int(label)]))[:wanted]
            if not all(stock[int(label)] for label in chosen):
                raise InputError(
                    "federation.clients",
                    clients,
                    f"with {wanted} classes each, images suffice for {client} clients",
                )
            parts.append(np.sort(np.array([stock[int(label)].pop() for label in chosen], dtype=np.int64)))
        return tuple(parts)
