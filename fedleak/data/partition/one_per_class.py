"""Partitions without repeated classes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from fedleak.data.partition.base import Indices, Partition
from fedleak.errors import InputError


class OnePerClass(Partition):
    """Every client holds one image each of ``classes_per_client`` classes, so that no batch repeats a class.

    Label restoration is measured without repeats (Yin et al. 2021, arXiv 2104.07586, Table 1). Each client takes
    the classes that have most images left, in random order among equals.
    """

    kind: Literal["one_per_class"] = "one_per_class"
    classes_per_client: int | None = Field(default=None, ge=1)
    """All unless given."""

    def partitioner(self, *, clients: int, seed: int) -> Any:
        """None of the library's deals this way; ``split`` does the work."""
        raise NotImplementedError("one_per_class deals by itself")

    def split(self, labels: Indices, *, clients: int, seed: int) -> tuple[Indices, ...]:
        """Deal ``labels`` ``(N,)``; many images are dealt to nobody.

        Raises:
            InputError: if there are fewer classes, or images of them, than the clients need.
        """
        if clients > len(labels):
            raise InputError("federation.clients", clients, f"there are only {len(labels)} private images to deal")
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
                    "federation.clients", clients, f"images of {wanted} classes each last for {client} clients"
                )
            parts.append(np.sort(np.array([stock[int(label)].pop() for label in chosen], dtype=np.int64)))
        return tuple(parts)
