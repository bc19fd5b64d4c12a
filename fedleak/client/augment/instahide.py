"""InstaHide-style mixing."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedleak import limits
from fedleak.client.augment.base import Augmentation, Batch, draw


class InstaHide(Augmentation):
    """Blend each image with others and flip the sign of random pixels (Huang et al. 2020, arXiv 2010.02772).

    It is broken (Carlini et al. 2021, arXiv 2011.05315) and is included for measurement.
    """

    kind: Literal["instahide"] = "instahide"
    images: int = Field(default=4, ge=2, le=limits.IMAGES)
    """Number of images mixed into one, including the client's own (the paper's k)."""
    partners: Literal["batch", "public"] = "batch"
    """Source of the other images: the client's batch, with labels mixed too, or public images, whose labels are
    ignored (the paper's inside-dataset and cross-dataset versions)."""
    largest: float = Field(default=0.65, gt=0, le=1)
    """Upper bound of a single coefficient (the paper's c1); raised to just above 1 / ``images`` if it is lower."""
    flip: bool = True
    """Whether the signs of random pixels are flipped."""

    def apply(self, batch: Batch, public: Batch, *, generator: np.random.Generator) -> Batch:
        """Mix the images; a flip ``x -> 1 - x`` in [0, 1] is the paper's ``x -> -x`` in [-1, 1]."""
        shares = self._coefficients(len(batch), generator)
        images = _scaled(batch.images, shares[0])
        targets = _scaled(batch.targets, shares[0])
        for share in shares[1:]:
            if self.partners == "batch":
                other = batch.take(torch.from_numpy(generator.permutation(len(batch))))
                targets = targets + _scaled(other.targets, share)
            else:
                other = draw(public, len(batch), generator)
            images = images + _scaled(other.images, share)
        if self.partners == "public":
            targets = batch.targets
        if self.flip:
            flipped = torch.from_numpy(generator.integers(2, size=tuple(images.shape)) == 1)
            images = torch.where(flipped.to(images.device), 1 - images, images)
        return Batch(images.clamp(0, 1), targets)

    def _coefficients(self, count: int, generator: np.random.Generator) -> Tensor:
        """Coefficients ``(images, count)``, uniform on the simplex, redrawn while one exceeds the bound; columns sum
        to one."""
        bound = max(self.largest, 1 / self.images + 1e-3)
        rows = generator.dirichlet(np.ones(self.images), size=count)
        for _ in range(10_000):
            wrong = rows.max(axis=1) > bound
            if not wrong.any():
                break
            rows[wrong] = generator.dirichlet(np.ones(self.images), size=int(wrong.sum()))
        else:
            rows[wrong] = 1 / self.images
        return torch.from_numpy(rows.T.astype(np.float32))


def _scaled(values: Tensor, shares: Tensor) -> Tensor:
    """Each image ``(M, ...)`` times its share ``(M,)``."""
    return values * shares.to(values.device).reshape(-1, *[1] * (values.ndim - 1))
