"""Random sparsification."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak.client.postprocess.base import PostProcess, Update
from fedleak.client.postprocess.selection import kept_count, on_support, random_places, select


class RandomK(PostProcess):
    """Keep values at random places and zero the rest (Stich et al. 2018, arXiv 1809.07599)."""

    kind: Literal["random_k"] = "random_k"
    compresses: ClassVar[bool] = True
    share: float = Field(gt=0, le=1)
    """Share of the values that is kept, rounded up, at least one value."""
    scope: Literal["tensor", "global"] = "tensor"
    """Whether the share applies to each tensor or to the whole update."""
    rescale: bool = False
    """Multiply the kept values by ``n / k``, which makes the result unbiased (Wangni et al. 2018, arXiv 1710.09854)."""

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, Tensor]:
        """Keep exactly ``ceil(share * n)`` values, of each tensor or of the whole update."""
        return select(update, lambda flat: self._keep(flat, generator), scope=self.scope)

    def surrogate(self, update: Update, *, shared: Update) -> dict[str, Tensor]:
        """Trial values at the places that were drawn, which the shared update reveals; zero elsewhere."""
        kept = on_support(update, shared)
        if not self.rescale:
            return kept
        sizes = {name: tensor.numel() for name, tensor in update.items() if tensor.is_floating_point()}
        if self.scope == "global":
            sizes = dict.fromkeys(sizes, sum(sizes.values()))
        return {name: t * (sizes[name] / kept_count(self.share, sizes[name])) for name, t in kept.items()}

    def _keep(self, flat: Tensor, generator: torch.Generator) -> Tensor:
        count = kept_count(self.share, flat.numel())
        kept = random_places(flat.numel(), count, generator).to(flat.device)
        factor = flat.numel() / count if self.rescale else 1.0
        return torch.zeros_like(flat).index_copy_(0, kept, flat[kept] * factor)
