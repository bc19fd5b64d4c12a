"""Clipping of single values."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak.client.postprocess.base import PostProcess, Update
from fedleak.client.postprocess.tensors import each_floating


class ElementwiseClipping(PostProcess):
    """Clip every value to [``-bound``, ``bound``]: flat clipping (SoK on gradient leakage, appendix C)."""

    kind: Literal["elementwise_clipping"] = "elementwise_clipping"
    bound: float = Field(gt=0, le=3e38)
    """Bound, in the units of the update."""
    needs_size: ClassVar[bool] = True

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, Tensor]:
        """Clamp every value; values within the bounds do not change."""
        return each_floating(update, lambda tensor: tensor.clamp(-self.bound, self.bound))

    def surrogate(self, update: Update, *, shared: Update) -> dict[str, Tensor]:
        """The same clipping: beyond the bounds only the sign matters."""
        return {name: tensor.clamp(-self.bound, self.bound) for name, tensor in update.items()}
