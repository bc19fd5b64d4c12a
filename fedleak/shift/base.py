"""What every distribution shift is: a rule for which training images may be public and which private."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from fedleak.component import Component
from fedleak.errors import InputError


class Shift(Component):
    """Deals the training images to a public and a private pool."""

    @abstractmethod
    def eligible(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """For labels ``(N,)``: which images may become public, which private; an image may be both."""

    def pools(
        self, labels: NDArray[np.int64], *, public: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw ``public`` public images; every other eligible image is private. Both sorted, disjoint.

        Raises:
            InputError: if there are not enough images.
        """
        may_be_public, may_be_private = self.eligible(labels)
        candidates = np.flatnonzero(may_be_public)
        if public > len(candidates):
            raise InputError("adversary.public_images", public, f"at most {len(candidates)} images can be public")
        chosen = np.sort(generator.permutation(candidates)[:public])
        may_be_private[chosen] = False
        private = np.flatnonzero(may_be_private)
        if len(private) == 0:
            raise InputError("adversary.public_images", public, "it leaves no image for the clients")
        return chosen, private
