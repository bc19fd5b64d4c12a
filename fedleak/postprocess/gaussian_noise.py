"""Additive Gaussian noise."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from fedleak.postprocess.base import PostProcess, Update


class GaussianNoise(PostProcess):
    """Add N(0, std^2) to every value (Zhu et al. 2019, arXiv 1906.08935, section 5)."""

    kind: Literal["gaussian_noise"] = "gaussian_noise"
    std: float = Field(ge=0)
    """Absolute standard deviation, in the update's own unit."""

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Every tensor gets its own draw, in the order of the mapping."""
        return {
            name: tensor + self.std * torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            for name, tensor in update.items()
        }
