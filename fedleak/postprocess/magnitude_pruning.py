"""Pruning of the smallest values."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from fedleak.postprocess.base import PostProcess, Update


class MagnitudePruning(PostProcess):
    """Zero the share ``rate`` of each tensor with the smallest magnitude (Chen & Liu 2025, arXiv 2505.20026, D.1)."""

    kind: Literal["magnitude_pruning"] = "magnitude_pruning"
    rate: float = Field(ge=0, lt=1)

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Exactly ``floor(rate * n)`` values of each tensor become zero."""
        return {name: self._prune(tensor) for name, tensor in update.items()}

    def surrogate(self, update: Update, *, shared: Update) -> dict[str, torch.Tensor]:
        """Trial values count only where the shared update was not pruned."""
        return {name: tensor * (shared[name] != 0) for name, tensor in update.items()}

    def _prune(self, tensor: torch.Tensor) -> torch.Tensor:
        count = int(self.rate * tensor.numel() + 1e-9)  # 0.29 * 100 is a little less than 29
        if count == 0:
            return tensor.clone()
        smallest = tensor.abs().flatten().topk(count, largest=False).indices
        return tensor.flatten().index_fill(0, smallest, 0.0).reshape(tensor.shape)
