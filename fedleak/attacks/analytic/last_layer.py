"""Recovery of input, output gradient and label at a linear last layer with cross-entropy, for one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from scipy.optimize import brentq
from torch import Tensor

from fedleak.errors import AttackFailedError

SCALES = 400
"""Grid points of the search for the norm of the features if the layer has no bias."""


@dataclass(frozen=True)
class LastLayer:
    """What can be recovered from the last layer.

    Attributes:
        features: its input, ``(M,)``.
        output_gradient: ``softmax(z) - y``, ``(K,)``.
        label: the class.
        scale: shared update divided by gradient: 1 for a gradient, the learning rate for a weight delta of one step.
    """

    features: Tensor
    output_gradient: Tensor
    label: int
    scale: float


def solve_last_layer(shared: Mapping[str, Tensor], weights: Mapping[str, Tensor], name: str) -> LastLayer:
    """Solve ``dL/dW = d h^T`` with ``d = softmax(W h + b) - y``.

    With a bias, ``d`` is shared up to the scale of the update, and ``h`` follows by division. Without a bias, the
    product does not determine the norm of ``h``; it is the root of ``d(c h)_y = dL/dW_y / c h`` with the smallest
    residual (section 3.1 of Zhu & Blaschko 2021, arXiv 2010.07733, extended to more than two classes), and the scale of
    the update is assumed to be 1.

    Args:
        shared: gradients, or weight deltas with inverted sign; double precision.
        weights: of the broadcast model.
        name: of the layer.

    Raises:
        AttackFailedError: if the gradient is zero or not finite, or no norm of ``h`` explains it.
    """
    gradient, weight = shared[f"{name}.weight"], weights[f"{name}.weight"]
    if not torch.isfinite(gradient).all() or not gradient.abs().max() > 0:
        raise AttackFailedError("the gradient of the last layer is zero or not finite")
    if f"{name}.bias" not in shared:
        return _without_bias(gradient, weight)
    along = shared[f"{name}.bias"]
    if not torch.isfinite(along).all() or not along.abs().max() > 0:
        raise AttackFailedError("the gradient of the last layer's bias is zero or not finite")
    features = gradient.T @ along / along.square().sum()
    label = int(along.argmin())
    output_gradient = _output_gradient(weight @ features + weights[f"{name}.bias"], label)
    scale = float(along @ output_gradient / output_gradient.square().sum())
    return LastLayer(features, output_gradient, label, scale)


def _output_gradient(logits: Tensor, label: int) -> Tensor:
    result = logits.softmax(dim=0)
    result[label] -= 1
    return result


def _without_bias(gradient: Tensor, weight: Tensor) -> LastLayer:
    left, sizes, right = torch.linalg.svd(gradient, full_matrices=False)
    column, row = left[:, 0] * sizes[0], right[0]
    positive, negative = (column > 0).sum(), (column < 0).sum()
    if positive < negative:  # one entry of d is negative, all others positive
        column, row = -column, -row
    label = int(column.argmin())

    def mismatch(size: float) -> float:
        return float(_output_gradient(size * (weight @ row), label)[label] - column[label] / size)

    places = torch.logspace(-4, 6, SCALES, dtype=torch.float64).tolist()
    values = [mismatch(place) for place in places]
    brackets = [(a, b) for a, b, u, v in zip(places, places[1:], values, values[1:], strict=False) if u * v < 0]
    roots = [float(brentq(mismatch, a, b, xtol=1e-14)) for a, b in brackets]
    if not roots:
        raise AttackFailedError("no norm of the last layer's input explains its gradient")
    found = [(size, _output_gradient(size * (weight @ row), label)) for size in roots]
    size, output_gradient = min(found, key=lambda f: float((f[1] - column / f[0]).square().sum()))
    return LastLayer(size * row, output_gradient, label, 1.0)
