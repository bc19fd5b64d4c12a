"""Base class of distribution shifts: rules that split images into public and private ones."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from fedleak.component import Component
from fedleak.data.sources.base import Dataset, DatasetSplits, LabelledImages
from fedleak.errors import InputError


class Shift(Component):
    """Base class of shifts: splits the training images into a public and a private pool."""

    @abstractmethod
    def eligible(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """For labels ``(N,)``: masks of the images that may be public and that may be private; they may overlap."""

    def private_source(self, own: Dataset) -> Dataset:
        """The data set of the clients' images; ``own`` is the scenario's data set."""
        return own

    def deal(
        self, splits: DatasetSplits, *, public: int, generator: np.random.Generator
    ) -> tuple[LabelledImages, LabelledImages]:
        """Draw ``public`` public images for the adversary, and the private images of the clients.

        Raises:
            InputError: if there are not enough images, or their shapes or classes do not fit.
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
    """Sorted indices of ``public`` images, drawn from those that may be public.

    Raises:
        InputError: if there are not enough eligible images.
    """
    candidates = np.flatnonzero(eligible)
    if public > len(candidates):
        raise InputError("adversary.public_images", public, f"at most {len(candidates)} images can be public")
    return np.sort(generator.permutation(candidates)[:public])
