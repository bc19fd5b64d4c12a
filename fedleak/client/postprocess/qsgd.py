"""Stochastic quantisation."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fedleak.client.postprocess.base import PostProcess, Update
from fedleak.client.postprocess.tensors import (
    each_floating,
    rounding_variances,
    scaled_norm,
    uniform_like,
    within_range,
)


class Qsgd(PostProcess):
    """Round each value to a random neighbour among ``2^bits - 1`` levels (Alistarh et al. 2017, arXiv 1610.02132)."""

    kind: Literal["qsgd"] = "qsgd"
    compresses: ClassVar[bool] = True
    bits: Literal[1, 2, 3, 4, 8] = 4
    """Bits of a value's magnitude; the sign takes one more."""
    scale: Literal["l2", "max"] = "l2"
    """Value of the highest level in each tensor: its Euclidean norm, as in the paper, or its largest magnitude, which
    adds less noise and is still unbiased (the paper's section 4 on practice)."""

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, Tensor]:
        """``norm * sign(g) * xi / s`` per tensor, ``xi`` the stochastic rounding of ``s |g| / norm`` (Eq. 3).

        Unbiased: the mean over the draws is the update. Values are clamped to the range of the data type.
        """
        return each_floating(update, lambda tensor: self._quantise(tensor, generator))

    def noise_variance(self, shared: Update) -> dict[str, Tensor]:
        """Variance of the stochastic rounding, which is treated as unbiased noise: trial updates are not rounded."""
        return rounding_variances(shared)

    def _quantise(self, tensor: Tensor, generator: torch.Generator) -> Tensor:
        levels = 2**self.bits - 1
        largest, relative = scaled_norm([tensor]) if self.scale == "l2" else (_largest(tensor), tensor.new_ones(()))
        step = largest * (relative / levels)
        position = tensor.abs().div_(largest).mul_(levels / relative.clamp(min=1))
        position.add_(uniform_like(tensor, generator)).floor_().clamp_(max=levels)
        return within_range(position.mul_(step).copysign_(tensor).add_(0.0))  # no negative zeros


def _largest(tensor: Tensor) -> Tensor:
    return tensor.abs().amax().clamp(min=torch.finfo(tensor.dtype).tiny)
