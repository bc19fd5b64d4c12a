"""Linear constraints on a layer's input: one system from the layer's weight, one from the weight's gradient."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak.attacks.layers.chain import ChainLayer, WeightedModule, unfold

BASIS = 256
"""Unit vectors passed through a layer at a time."""


def weight_rows(layer: ChainLayer, weight: Tensor) -> Tensor:
    """The layer as a matrix ``(m, n)``: inputs ``(n,)`` -> outputs without bias ``(m,)``."""
    parts = [_outputs(layer.module, basis, weight).flatten(1) for basis in _basis(layer.input_shape, weight)]
    return torch.cat(parts).T


def gradient_rows(layer: ChainLayer, output_gradient: Tensor) -> Tensor:
    """The matrix ``(g, n)`` that maps inputs ``(n,)`` to the gradient of the layer's weight ``(g,)``.

    Args:
        output_gradient: gradient of the loss with respect to the layer's outputs, ``(O, positions)``.
    """
    parts = [
        torch.einsum("nql,ol->noq", _patches(layer.module, basis), output_gradient).flatten(1)
        for basis in _basis(layer.input_shape, output_gradient)
    ]
    return torch.cat(parts).T


def _outputs(module: WeightedModule, inputs: Tensor, weight: Tensor) -> Tensor:
    """Outputs of the layer with the given weight and without bias: ``(N, *shape)`` -> ``(N, *output shape)``."""
    if isinstance(module, nn.Linear):
        return F.linear(inputs, weight)
    return F.conv2d(inputs, weight, None, module.stride, module.padding, module.dilation)


def _patches(module: WeightedModule, inputs: Tensor) -> Tensor:
    """Input patch of each output position: ``(N, *shape)`` -> ``(N, patch, positions)``."""
    return inputs[:, :, None] if isinstance(module, nn.Linear) else unfold(module, inputs)


def _basis(shape: tuple[int, ...], like: Tensor) -> Iterator[Tensor]:
    """Unit vectors of the input space, in blocks of ``BASIS``."""
    size = torch.Size(shape).numel()
    for start in range(0, size, BASIS):
        some = range(start, min(size, start + BASIS))
        unit = torch.zeros(len(some), size, dtype=like.dtype)
        unit[torch.arange(len(some)), torch.tensor(list(some))] = 1
        yield unit.reshape(-1, *shape)
