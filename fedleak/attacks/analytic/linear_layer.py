"""Exact recovery of the input of a linear first layer."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits
from fedleak.attacks.base import Attack, Reconstruction
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape
from fedleak.threat import ModelArchitecture, PixelPrior, SharedUpdate


class LinearLayer(Attack):
    """Input of a linear first layer with bias: ``x = dL/dW_i / dL/db_i`` (Phong et al. 2018, IEEE TIFS 13(5)).

    Exact for one image with any row ``i``; the row with the largest bias gradient is the most precise. For a batch,
    every row is a mixture of the images that activate its unit; the rows that differ most are returned as guesses. A
    factor common to weight and bias, such as a learning rate, cancels.

    Fails where the first layer is no linear layer with bias, as in every convolutional network. Of a batch, a row that
    several images activate gives a mixture of them.
    """

    kind: Literal["linear_layer"] = "linear_layer"
    smallest_bias: float = Field(default=1e-12, ge=0, le=limits.RATE)
    """Rows whose bias gradient is smaller than this fraction of the largest are ignored."""

    def reconstruct(
        self, update: SharedUpdate, architecture: ModelArchitecture, pixels: PixelPrior, *, generator: torch.Generator
    ) -> Reconstruction:
        """Divide weight by bias gradients.

        Raises:
            AttackFailedError: if the network does not start with a linear layer with bias, or no row can be used.
        """
        weight, bias = first_layer(architecture, update)
        inputs = row_inputs(weight, bias, smallest=self.smallest_bias)
        chosen = distinct_rows(inputs, update.samples or 1)
        return Reconstruction(images=to_pixels(chosen, architecture.input_shape, pixels))


def first_layer(architecture: ModelArchitecture, update: SharedUpdate) -> tuple[Tensor, Tensor]:
    """The shared tensors of the weight ``(O, I)`` and bias ``(O,)`` of the first layer.

    Raises:
        AttackFailedError: if that layer is not linear with a bias.
    """
    model = architecture.build(seed=0)
    name, layer = next((n, m) for n, m in model.named_modules() if list(m.parameters(recurse=False)))
    if not isinstance(layer, nn.Linear) or layer.bias is None:
        raise AttackFailedError(f"the network starts with {type(layer).__name__}, not with a linear layer with bias")
    prefix = f"{name}." if name else ""
    if not {f"{prefix}weight", f"{prefix}bias"} <= set(update.tensors):
        raise AttackFailedError(f"the first layer, {name}, is frozen: its gradient is not shared")
    return update.tensors[f"{prefix}weight"], update.tensors[f"{prefix}bias"]


def row_inputs(weight: Tensor, bias: Tensor, *, smallest: float) -> Tensor:
    """``dL/dW_i / dL/db_i`` for every usable row, ordered by falling bias gradient: ``(R, I)``.

    Raises:
        AttackFailedError: if the gradient is zero or not finite.
    """
    size = bias.abs()
    if not torch.isfinite(weight).all() or not torch.isfinite(bias).all() or not size.max() > 0:
        raise AttackFailedError("the gradient of the first layer is zero or not finite")
    order = size.argsort(descending=True, stable=True)
    usable = order[size[order] > smallest * size.max()]
    return (weight[usable].double() / bias[usable, None].double()).float()


def distinct_rows(inputs: Tensor, count: int) -> Tensor:
    """Farthest-point selection of ``count`` rows, beginning with the first: ``(count, I)``."""
    taken = [0]
    nearest = (inputs - inputs[0]).square().sum(dim=1)
    while len(taken) < count:
        taken.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (inputs - inputs[taken[-1]]).square().sum(dim=1))
    return inputs[taken]


def to_pixels(inputs: Tensor, shape: InputShape, pixels: PixelPrior) -> Tensor:
    """Normalised inputs ``(B, I)`` as images in [0, 1]."""
    images = pixels.normalisation.undo(inputs.cpu().reshape(-1, *shape))
    return images.clamp(pixels.low, pixels.high)
