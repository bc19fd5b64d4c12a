"""Settings of example-level differential privacy, and Poisson-sampled mini-batches."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak import limits, seeds
from fedleak.component import Settings


class DpSgd(Settings):
    """DP-SGD (Abadi et al. 2016, arXiv 1607.00133, algorithm 1), in one gradient or in every local step."""

    max_norm: float = Field(gt=0, le=limits.RATE)
    """Euclidean norm to which each example's gradient is clipped (the paper's C)."""
    noise_multiplier: float = Field(ge=0, le=limits.RATE)
    """Standard deviation of the noise on the sum of gradients, in units of ``max_norm`` (the paper's sigma)."""
    delta: float = Field(default=1e-5, gt=0, lt=1)
    """Delta at which epsilon is reported, a probability."""
    sampling: Literal["fixed", "poisson"] = "fixed"
    """How batches are drawn. ``fixed``: ``batch_size`` images without replacement; epsilon holds for replacing one
    image, amplified only by the share of a client's images that it uses in a round. ``poisson`` (fedavg): every image
    joins every mini-batch with probability ``batch_size`` over the client's images; epsilon holds for adding or
    removing one image."""


def poisson_batches(samples: int, *, batch_size: int, epochs: int, seed: seeds.Root) -> list[Tensor]:
    """Indices of the images in each local step; each image takes part at the rate ``batch_size / samples``.

    Args:
        samples: number of images.
        batch_size: expected number of images in a step; there are as many steps as mini-batches of that size.
        epochs: passes over the images.
        seed: as for ``mini_batches``.
    """
    generator = seeds.torch_generator(seed, "order")
    draws = torch.rand(epochs * -(-samples // batch_size), samples, generator=generator, dtype=torch.float64)
    return [row.nonzero().flatten() for row in draws < batch_size / samples]
