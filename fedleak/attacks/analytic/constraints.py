"""The linear systems that a layer's input obeys: one from the layer's weight, one from the weight's gradient."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak.attacks.layers.chain import ChainLayer, WeightedModule, unfold

BASIS = 256
"""Unit vectors that are sent through a layer at a time."""


def weight_rows(layer: ChainLayer, weight: Tensor) -> Tensor:
    """The matrix of the layer itself: inputs ``(n,)`` -> outputs without bias ``(m,)``, ``(m, n)``."""
    parts = [_outputs(layer.module, basis, weight).flatten(1) for basis in _basis(layer.input_shape, weight)]
    return torch.cat(parts).T


def gradient_rows(layer: ChainLayer, output_gradient: Tensor) -> Tensor:
    """The matrix that turns inputs ``(n,)`` into the gradient of the layer's weight ``(g,)``, ``(g, n)``.

    Args:
        output_gradient: of the loss for the layer's outputs, ``(O, positions)``.
    """
    parts = [
        torch.einsum("nql,ol->noq", _patches(layer.module, basis), output_gradient).flatten(1)
        for basis in _basis(layer.input_shape, output_gradient)
    ]
    return torch.cat(parts).T


def _outputs(module: WeightedModule, inputs: Tensor, weight: Tensor) -> Tensor:
    """The layer with another weight and without bias: ``(N, *shape)`` -> ``(N, *output shape)``."""
    if isinstance(module, nn.Linear):
        return F.linear(inputs, weight)
    return F.conv2d(inputs, weight, None, module.stride, module.padding, module.dilation)


def _patches(module: WeightedModule, inputs: Tensor) -> Tensor:
    """What each output position sees: ``(N, *shape)`` -> ``(N, patch, positions)``."""
    return inputs[:, :, None] if isinstance(module, nn.Linear) else unfold(module, inputs)


def _basis(shape: tuple[int, ...], like: Tensor) -> Iterator[Tensor]:
    """Unit vectors of the input, a few at a time."""
    size = torch.Size(shape).numel()
    for start in range(0, size, BASIS):
        some = range(start, min(size, start + BASIS))
        unit = torch.zeros(len(some), size, dtype=like.dtype)
        unit[torch.arange(len(some)), torch.tensor(list(some))] = 1
        yield unit.reshape(-1, *shape)
