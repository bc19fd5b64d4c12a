"""A federation of a few large clients and many small ones."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from fedleak import limits
from fedleak.data.partition.base import Indices, Partition
from fedleak.errors import InputError


class FewLarge(Partition):
    """A few large clients share nearly all images, the others hold a few each; all images are drawn uniformly.

    This allows attacks on victims with few images while the large clients train the model, as with the one small client
    among 99 of Du et al. 2024 (arXiv 2404.05403, appendix B iii).
    """

    kind: Literal["few_large"] = "few_large"
    large: int = Field(default=1, ge=1, le=limits.CLIENTS)
    """Number of large clients; they are clients 0, 1 ..."""
    images: int = Field(default=1, ge=1, le=limits.IMAGES)
    """Number of images of each other client."""

    def partitioner(self, *, clients: int, seed: int) -> Any:
        """Not used: no partitioner of the library distributes a remainder; ``split`` does it directly."""
        raise NotImplementedError("few_large has its own split")

    def split(self, labels: Indices, *, clients: int, seed: int) -> tuple[Indices, ...]:
        """Partition ``labels`` ``(N,)``; every image is used.

        Raises:
            InputError: if a large client would get no image.
        """
        if clients > len(labels):
            raise InputError("federation.clients", clients, f"there are only {len(labels)} private images")
        large = min(self.large, clients)
        taken = (clients - large) * self.images
        if len(labels) - taken < large:
            raise InputError(
                "federation.partition.images", self.images, f"the {clients - large} small clients leave too few images"
            )
        order = np.random.default_rng(seed).permutation(len(labels)).astype(np.int64)
        parts = [*np.array_split(order[taken:], large), *order[:taken].reshape(-1, self.images)]
        return tuple(np.sort(part) for part in parts)
