"""MixUp augmentation of a batch."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field

from fedleak import limits
from fedleak.client.augment.base import Augmentation, Batch


class Mixup(Augmentation):
    """Blend each image and its label with another of the batch (Zhang et al. 2018, arXiv 1710.09412).

    A batch of one image is not changed.
    """

    kind: Literal["mixup"] = "mixup"
    alpha: float = Field(default=1.0, gt=0, le=limits.RATE)
    """Parameter of the mixing share's Beta(alpha, alpha); one share for the whole batch, as in the paper's code."""

    def apply(self, batch: Batch, public: Batch, *, generator: np.random.Generator) -> Batch:
        """``share * x_i + (1 - share) * x_j`` with ``j`` from a random permutation; labels likewise (Eq. 1)."""
        share = float(generator.beta(self.alpha, self.alpha))
        other = batch.take(torch.from_numpy(generator.permutation(len(batch))))
        return Batch(
            images=share * batch.images + (1 - share) * other.images,
            targets=share * batch.targets + (1 - share) * other.targets,
        )
