"""Sparsification by magnitude."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak.client.postprocess.base import PostProcess, Update
from fedleak.client.postprocess.selection import kept_count, largest, on_support, select


class TopK(PostProcess):
    """Keep the values of largest magnitude and zero the rest (Aji & Heafield 2017, arXiv 1704.05021)."""

    kind: Literal["top_k"] = "top_k"
    compresses: ClassVar[bool] = True
    share: float = Field(gt=0, le=1)
    """Share of the values that is kept, rounded up, at least one value."""
    scope: Literal["tensor", "global"] = "tensor"
    """Whether the share applies to each tensor or to the whole update."""

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, Tensor]:
        """Keep exactly ``ceil(share * n)`` values, of each tensor or of the whole update."""
        return select(update, self._keep, scope=self.scope)

    def surrogate(self, update: Update, *, shared: Update) -> dict[str, Tensor]:
        """Trial values at the places that the shared update kept, zero elsewhere."""
        return on_support(update, shared)

    def _keep(self, flat: Tensor) -> Tensor:
        kept = largest(flat, kept_count(self.share, flat.numel()))
        return torch.zeros_like(flat).index_copy_(0, kept, flat[kept])
