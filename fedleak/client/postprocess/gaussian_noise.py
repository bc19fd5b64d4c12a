"""Additive Gaussian noise."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from fedleak import limits
from fedleak.client.postprocess.base import PostProcess, Update
from fedleak.client.postprocess.tensors import add_noise, added_variance, normal_like


class GaussianNoise(PostProcess):
    """Add N(0, std^2) to every value (Zhu et al. 2019, arXiv 1906.08935, section 5)."""

    kind: Literal["gaussian_noise"] = "gaussian_noise"
    std: float = Field(ge=0, le=limits.RATE)
    """Standard deviation, in the unit that ``relative_to`` selects."""
    relative_to: Literal["nothing", "tensor", "update"] = "nothing"
    """``std`` is absolute, or a multiple of the root mean square of each tensor, or of the whole update."""

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Add independent noise to every tensor, in the order of the mapping."""
        return add_noise(update, lambda t: normal_like(t, generator), std=self.std, relative_to=self.relative_to)

    def noise_variance(self, shared: Update) -> dict[str, torch.Tensor]:
        """Variance of the noise; relative noise takes its scale from the shared update."""
        return added_variance(shared, std=self.std, relative_to=self.relative_to)
