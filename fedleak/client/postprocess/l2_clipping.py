"""Clipping by the global norm."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from fedleak import limits
from fedleak.client.postprocess.base import PostProcess, Update
from fedleak.client.postprocess.tensors import each_floating, scaled_norm


class L2Clipping(PostProcess):
    """Scale the update down to at most ``max_norm`` in Euclidean norm (Abadi et al. 2016, arXiv 1607.00133)."""

    kind: Literal["l2_clipping"] = "l2_clipping"
    max_norm: float = Field(gt=0, le=limits.RATE)
    """Largest L2 norm of an update."""

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Scale down an update above the bound, without overflow for large values; others do not change."""
        largest, relative = scaled_norm(update.values())
        short = largest * relative <= self.max_norm
        factor = self.max_norm / relative.clamp(min=1.0)
        return each_floating(update, lambda tensor: torch.where(short, tensor, tensor / largest * factor))

    def surrogate(self, update: Update, *, shared: Update) -> dict[str, torch.Tensor]:
        """The same clipping, with a finite derivative at zero."""
        square = torch.stack([tensor.square().sum() for tensor in update.values()]).sum()
        scale = (self.max_norm / square.clamp(min=1e-30).sqrt()).clamp(max=1.0)
        return {name: tensor * scale for name, tensor in update.items()}
