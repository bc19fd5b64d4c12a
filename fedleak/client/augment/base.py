"""What every data-side defense is, and how several make a chain."""

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
    """What a client trains on.

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
    """A change of a client's batch, drawn anew for every update."""

    @abstractmethod
    def apply(self, batch: Batch, public: Batch, *, generator: np.random.Generator) -> Batch:
        """The batch to train on; the argument stays as it was.

        Args:
            batch: the client's own images.
            public: images that anyone has, the adversary included; may be empty.
            generator: of every random choice.
        """


def apply_augmentations(
    steps: Sequence[Augmentation], batch: Batch, public: Batch, *, generator: np.random.Generator
) -> Batch:
    """Apply ``steps`` in the order in which the scenario lists them."""
    for step in steps:
        batch = step.apply(batch, public, generator=generator)
    return batch


def draw(batch: Batch, count: int, generator: np.random.Generator) -> Batch:
    """``count`` images at random, none twice as long as there are enough.

    Raises:
        ValueError: if there are none to draw from.
    """
    if not len(batch):
        raise ValueError("there are no public images to draw from")
    rounds = -(-count // len(batch))
    order = np.concatenate([generator.permutation(len(batch)) for _ in range(rounds)])[:count]
    return batch.take(torch.from_numpy(order))
