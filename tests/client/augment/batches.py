"""Small batches."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from fedleak.client.augment.base import Batch


def batch(count: int, *, seed: int = 0, classes: int = 5) -> Batch:
    """Random images ``(count, 1, 4, 4)`` of classes 0, 1, 2 ..."""
    images = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    return Batch(images, F.one_hot(torch.arange(count) % classes, classes).float())


def generator(seed: int = 0) -> np.random.Generator:
    """A fresh generator."""
    return np.random.default_rng(seed)
