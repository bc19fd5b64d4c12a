"""A federation of a few large clients and many small ones."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from fedleak.data.partition.base import Indices, Partition
from fedleak.errors import InputError


class FewLarge(Partition):
    """The first clients share nearly everything, the others hold a handful of images each; all are drawn uniformly.

    So victims whose update comes from few images can be watched while the others bring the model on, as with the one
    small client among 99 of Du et al. 2024 (arXiv 2404.05403, appendix B iii).
    """

    kind: Literal["few_large"] = "few_large"
    large: int = Field(default=1, ge=1)
    """How many clients are large: 0, 1 ..."""
    images: int = Field(default=1, ge=1)
    """Of each of the others."""

    def partitioner(self, *, clients: int, seed: int) -> Any:
        """None of the library's deals a remainder; ``split`` does the work."""
        raise NotImplementedError("few_large deals by itself")

    def split(self, labels: Indices, *, clients: int, seed: int) -> tuple[Indices, ...]:
        """Deal ``labels`` ``(N,)``, all of them.

        Raises:
            InputError: if the large clients would hold nothing.
        """
        if clients > len(labels):
            raise InputError("federation.clients", clients, f"there are only {len(labels)} private images to deal")
        large = min(self.large, clients)
        taken = (clients - large) * self.images
        if len(labels) - taken < large:
            raise InputError(
                "federation.partition.images", self.images, f"the {clients - large} small clients leave nothing over"
            )
        order = np.random.default_rng(seed).permutation(len(labels)).astype(np.int64)
        parts = [*np.array_split(order[taken:], large), *order[:taken].reshape(-1, self.images)]
        return tuple(np.sort(part) for part in parts)
