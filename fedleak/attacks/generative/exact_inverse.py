"""Layer-wise solutions of Eq. 3 of Chen & Liu 2025 (arXiv 2505.20026), for batches of single-sample updates.

``d`` is the gradient of the loss with respect to a layer's pre-activations, ``a`` the layer's input. A linear layer
shares ``G = d a^T``; a convolution shares ``G = D P^T``, with ``D`` ``(out, positions)`` and ``P`` the unfolded input
``(in * k * k, positions)``. Each is solved for ``a`` given ``d`` and for ``d`` given ``a``. Pseudo-inverses are
regularised by a Tikhonov term, relative to the size of the inverted matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from fedleak.attacks.layers.chain import WeightedModule, margins, unfold
from fedleak.attacks.tikhonov import tikhonov_solve
from fedleak.errors import AttackFailedError

TINY = 1e-30
LARGEST = 50_000_000
"""Largest number of entries of a convolution's system, per sample; larger systems are too expensive to invert."""


def solve_input(layer: WeightedModule, gradient: Tensor, d: Tensor, shape: tuple[int, ...], guard: float) -> Tensor:
    """``a = d^+ G``: the layer's input.

    Args:
        layer: gives the geometry.
        gradient: of its weight, ``(n, *weight shape)``.
        d: gradient of its pre-activations, ``(n, *output shape)``.
        shape: of its input, per sample.
        guard: weight of the Tikhonov term.
    """
    if isinstance(layer, nn.Linear):
        size = d.square().sum(dim=1, keepdim=True)
        return torch.einsum("no,noi->ni", d, gradient) / (size * (1 + guard)).clamp_min(TINY)
    matrix = kernel_map(layer, d, shape[1:])
    right = gradient.flatten(3).transpose(2, 3).flatten(1, 2)  # one column for each input channel
    normal = matrix.transpose(1, 2) @ matrix
    return _solved(normal, matrix.transpose(1, 2) @ right, guard).transpose(1, 2).reshape(-1, *shape)


def solve_output(layer: WeightedModule, gradient: Tensor, a: Tensor, shape: tuple[int, ...], guard: float) -> Tensor:
    """``d = G (a^T)^+``: the gradient of the layer's pre-activations.

    Args:
        layer, gradient, guard: as for ``solve_input``.
        a: the layer's input, ``(n, *input shape)``.
        shape: of its output, per sample.
    """
    if isinstance(layer, nn.Linear):
        size = a.square().sum(dim=1, keepdim=True)
        return torch.einsum("noi,ni->no", gradient, a) / (size * (1 + guard)).clamp_min(TINY)
    patches = unfold(layer, a)
    normal = patches.transpose(1, 2) @ patches
    right = patches.transpose(1, 2) @ gradient.flatten(2).transpose(1, 2)
    return _solved(normal, right, guard).transpose(1, 2).reshape(-1, *shape)


def pull_back(layer: WeightedModule, weight: Tensor, d: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``W^T d``: the gradient with respect to the layer's input, ``(n, *shape)``, given (an estimate of) its weight."""
    if isinstance(layer, nn.Linear):
        return (d @ weight).reshape(-1, *shape)
    left, right, top, bottom = margins(layer)
    padded = (len(d), shape[0], shape[1] + top + bottom, shape[2] + left + right)
    back: Tensor = conv2d_input(  # type: ignore[no-untyped-call]
        padded, weight, d, stride=layer.stride, padding=0, dilation=layer.dilation
    )
    return back[:, :, top : top + shape[1], left : left + shape[2]]


def kernel_map(layer: nn.Conv2d, d: Tensor, side: tuple[int, ...]) -> Tensor:
    """The linear map from one input channel to the gradient of its kernels; it is the same for every input channel.

    Args:
        layer: gives the geometry.
        d: gradient of its pre-activations, ``(n, out, *positions)``.
        side: height and width of its input.

    Returns:
        ``(n, out * k * k, H * W)``.

    Raises:
        AttackFailedError: if the map is too large.
    """
    inputs, values = int(torch.Size(side).numel()), layer.weight[:, 0].numel()
    if inputs * values > LARGEST:
        raise AttackFailedError(
            f"exact inversion needs a matrix of {values:,} x {inputs:,} entries for a convolution, "
            f"more than the limit of {LARGEST:,}; try git_coarse"
        )
    basis = torch.eye(inputs, dtype=d.dtype, device=d.device).reshape(inputs, 1, *side)
    return torch.einsum("nop,ikp->noki", d.flatten(2), unfold(layer, basis)).flatten(1, 2)


def _solved(normal: Tensor, right: Tensor, guard: float) -> Tensor:
    solution, singular = tikhonov_solve(normal, right, weight=guard)
    if singular.any():
        raise AttackFailedError("the linear system of a layer is singular: its gradient does not determine its input")
    return solution
