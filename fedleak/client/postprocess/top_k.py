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
    """Share of the values that is kept, rounded up: at least one."""
    scope: Literal["tensor", "global"] = "tensor"
    """Whether each tensor keeps its share, or the update as a whole does."""

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, Tensor]:
        """Exactly ``ceil(share * n)`` places are kept, of each tensor or of all."""
        return select(update, self._keep, scope=self.scope)

    def surrogate(self, update: Update, *, shared: Update) -> dict[str, Tensor]:
        """Trial values count only where the shared update kept something."""
        return on_support(update, shared)

    def _keep(self, flat: Tensor) -> Tensor:
        kept = largest(flat, kept_count(self.share, flat.numel()))
        return torch.zeros_like(flat).index_copy_(0, kept, flat[kept])
