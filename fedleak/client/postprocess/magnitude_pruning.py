"""Pruning of the smallest values."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from fedleak.client.postprocess.base import PostProcess, Update
from fedleak.client.postprocess.selection import largest, on_support
from fedleak.client.postprocess.tensors import each_floating


class MagnitudePruning(PostProcess):
    """Zero the share ``rate`` of each tensor with the smallest magnitude (Chen & Liu 2025, arXiv 2505.20026, D.1)."""

    kind: Literal["magnitude_pruning"] = "magnitude_pruning"
    compresses: ClassVar[bool] = True
    rate: float = Field(ge=0, lt=1)
    """Share of the values that is set to zero, in [0, 1)."""

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Set exactly ``floor(rate * n)`` values of each tensor to zero."""
        return each_floating(update, self._prune)

    def surrogate(self, update: Update, *, shared: Update) -> dict[str, torch.Tensor]:
        """Trial values where the shared update was not pruned, zero elsewhere."""
        return on_support(update, shared)

    def _prune(self, tensor: torch.Tensor) -> torch.Tensor:
        count = int(self.rate * tensor.numel() + 1e-9)  # 0.29 * 100 is a little less than 29
        if count == 0:
            return tensor.clone()
        flat, kept = tensor.flatten(), tensor.numel() - count
        if kept < count:  # the smaller of the two selections is the faster one
            places = largest(flat, kept)
            return torch.zeros_like(flat).index_copy_(0, places, flat[places]).reshape(tensor.shape)
        smallest = flat.abs().topk(count, largest=False, sorted=False).indices
        return flat.index_fill(0, smallest, 0.0).reshape(tensor.shape)
