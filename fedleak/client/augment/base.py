"""Base class of data-side defenses, and how they are chained."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedleak.component import Component


@dataclass(frozen=True)
class Batch:
    """A training batch of a client.

    Attributes:
        images: float32 ``(M, C, H, W)`` in [0, 1].
        targets: float32 ``(M, classes)``, probabilities that sum to one.
    """

    images: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: Tensor) -> Batch:
        """The images at ``index`` ``(n,)``."""
        return Batch(self.images[index], self.targets[index])


class Augmentation(Component):
    """Base class of data-side defenses: a change of a client's batch, drawn anew for every update."""

    @abstractmethod
    def apply(self, batch: Batch, public: Batch, *, generator: np.random.Generator) -> Batch:
        """The batch to train on; the argument is not changed.

        Args:
            batch: the client's own images.
            public: public images, which the adversary also has; may be empty.
            generator: random generator of every draw.
        """


def apply_augmentations(
    steps: Sequence[Augmentation], batch: Batch, public: Batch, *, generator: np.random.Generator
) -> Batch:
    """Apply ``steps`` in the order in which the scenario lists them."""
    for step in steps:
        batch = step.apply(batch, public, generator=generator)
    return batch


def draw(batch: Batch, count: int, generator: np.random.Generator) -> Batch:
    """Draw ``count`` random images, without repeats if there are enough.

    Raises:
        ValueError: if there are no images to draw from.
    """
    if not len(batch):
        raise ValueError("there are no public images to draw from")
    rounds = -(-count // len(batch))
    order = np.concatenate([generator.permutation(len(batch)) for _ in range(rounds)])[:count]
    return batch.take(torch.from_numpy(order))
