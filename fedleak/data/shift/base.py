"""What every distribution shift is: a rule by which images become public or private."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from fedleak.component import Component
from fedleak.data.sources.base import Dataset, DatasetSplits, LabelledImages
from fedleak.errors import InputError


class Shift(Component):
    """Deals the training images to a public and a private pool."""

    @abstractmethod
    def eligible(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """For labels ``(N,)``: which images may become public, which private; an image may be both."""

    def private_source(self, own: Dataset) -> Dataset:
        """The data set that clients hold images of, where ``own`` is the scenario's."""
        return own

    def deal(
        self, splits: DatasetSplits, *, public: int, generator: np.random.Generator
    ) -> tuple[LabelledImages, LabelledImages]:
        """Public images, ``public`` of them, and private ones for the clients.

        Raises:
            InputError: if there are not enough images, or they do not fit.
        """
        chosen, private = self.pools(splits.train.labels, public=public, generator=generator)
        return splits.train.take(chosen), splits.train.take(private)

    def pools(
        self, labels: NDArray[np.int64], *, public: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw ``public`` public images; every other eligible image is private. Both sorted, disjoint.

        Raises:
            InputError: if there are not enough images.
        """
        may_be_public, may_be_private = self.eligible(labels)
        chosen = draw_public(may_be_public, public, generator)
        may_be_private[chosen] = False
        private = np.flatnonzero(may_be_private)
        if len(private) == 0:
            raise InputError("adversary.public_images", public, "it leaves no image for the clients")
        return chosen, private


def draw_public(eligible: NDArray[np.bool_], public: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Places of ``public`` images, drawn from those that may be public; sorted.

    Raises:
        InputError: if there are not enough.
    """
    candidates = np.flatnonzero(eligible)
    if public > len(candidates):
        raise InputError("adversary.public_images", public, f"at most {len(candidates)} images can be public")
    return np.sort(generator.permutation(candidates)[:public])
