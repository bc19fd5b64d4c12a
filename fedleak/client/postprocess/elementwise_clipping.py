"""Clipping of single values."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak.client.postprocess.base import PostProcess, Update
from fedleak.client.postprocess.tensors import each_floating


class ElementwiseClipping(PostProcess):
    """Cut every value off at ``-bound`` and ``bound``: flat clipping (SoK on gradient leakage, appendix C)."""

    kind: Literal["elementwise_clipping"] = "elementwise_clipping"
    bound: float = Field(gt=0, le=3e38)
    """In the update's own unit."""
    needs_size: ClassVar[bool] = True

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, Tensor]:
        """Values inside the bounds stay as they are."""
        return each_floating(update, lambda tensor: tensor.clamp(-self.bound, self.bound))

    def surrogate(self, update: Update, *, shared: Update) -> dict[str, Tensor]:
        """The same clipping: beyond the bounds only the sign counts."""
        return {name: tensor.clamp(-self.bound, self.bound) for name, tensor in update.items()}
