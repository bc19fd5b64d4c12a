"""Deterministic or stochastic quantisation on an even grid."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak.client.postprocess.base import PostProcess, Update
from fedleak.client.postprocess.tensors import (
    each_floating,
    rounding_variances,
    straight_through,
    uniform_like,
    within_range,
)


class UniformQuantisation(PostProcess):
    """Round to ``2^bits - 1`` even steps between minus and plus each tensor's largest magnitude; zero stays zero.

    The symmetric uniform quantiser of Konečný et al. 2016 (arXiv 1610.05492, section 3), with a grid point at zero.
    """

    kind: Literal["uniform_quantisation"] = "uniform_quantisation"
    compresses: ClassVar[bool] = True
    bits: int = Field(default=8, ge=2, le=16)
    """Bits of a value, including its sign."""
    rounding: Literal["nearest", "stochastic"] = "nearest"
    """``stochastic`` is unbiased."""

    def apply(self, update: Update, *, generator: torch.Generator) -> dict[str, Tensor]:
        """Each value becomes ``k * max|g| / (2^(bits-1) - 1)`` with an integer ``k``."""
        return each_floating(update, lambda tensor: self._quantise(tensor, generator))

    def surrogate(self, update: Update, *, shared: Update) -> dict[str, Tensor]:
        """Rounding with a straight-through derivative; stochastic rounding is treated as noise instead."""
        if self.rounding == "stochastic":
            return dict(update)
        return each_floating(update, lambda tensor: straight_through(tensor, self._nearest(tensor.detach())))

    def noise_variance(self, shared: Update) -> dict[str, Tensor]:
        """Variance of stochastic rounding; empty for rounding to the nearest."""
        if self.rounding == "nearest":
            return {}
        return rounding_variances(shared)

    def _nearest(self, tensor: Tensor) -> Tensor:
        step: Tensor = tensor.abs().amax().clamp(min=torch.finfo(tensor.dtype).tiny) / (2 ** (self.bits - 1) - 1)
        return (tensor / step).round() * step

    def _quantise(self, tensor: Tensor, generator: torch.Generator) -> Tensor:
        levels = 2 ** (self.bits - 1) - 1
        largest = tensor.abs().amax().clamp(min=torch.finfo(tensor.dtype).tiny)
        position = (tensor / largest).mul_(levels)
        if self.rounding == "nearest":
            position.round_()
        else:
            position.add_(uniform_like(tensor, generator)).floor_().clamp_(-levels, levels)
        return within_range(position.mul_(largest / levels).add_(0.0))  # no negative zeros
