"""Pure functions that turn an averaged gradient into integer numbers of images per class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fedleak.errors import AttackFailedError

SCALES = 201
"""Number of scales tried around the scale that leaves some class empty."""
SLACK = 1e-3
"""Tolerance for rounding errors of the gradient, as a fraction of one image."""
REACH = 0.25
"""Relative range of the scales tried, to either side."""


def labels_of(counts: Tensor) -> Tensor:
    """Numbers of images per class ``(K,)`` -> sorted labels ``(B,)``."""
    return torch.arange(len(counts)).repeat_interleave(counts.cpu())


def nearest_counts(wanted: Tensor, total: int, *, least: Tensor | None = None) -> Tensor:
    """The integers that sum to ``total`` and are nearest to ``wanted`` ``(K,)`` in squared distance.

    Adds one at a time where most is missing, which is exact for a separable convex cost.

    Args:
        least: lower bounds ``(K,)`` that sum to at most ``total``; default: zeros.
    """
    counts = torch.zeros(len(wanted), dtype=torch.int64) if least is None else least.clone()
    missing = wanted.double() - counts
    for _ in range(total - int(counts.sum())):
        place = int(missing.argmax())
        counts[place] += 1
        missing[place] -= 1
    return counts


@dataclass(frozen=True)
class Estimator:
    """A linear estimate of the number of images per class: ``constant + gain @ (B g)``, ``(K,)`` and ``(K, K)``."""

    constant: Tensor
    gain: Tensor


def least_squares(expected: Tensor, total: int) -> Estimator:
    """Solves ``sum_j n_j (P_j - e_j) = B g`` with ``sum_j n_j = B`` by the pseudo-inverse (Ma et al. 2023, ICLR).

    Args:
        expected: row ``j`` is the expected softmax ``P_j`` of an image of class ``j``, ``(K, K)``.
        total: B.
    """
    rows = _finite(expected)
    one = torch.ones(1, len(rows), dtype=torch.float64)
    inverse = torch.linalg.pinv(torch.cat([one, _drift(rows)]))
    return Estimator(inverse[:, 0] * total, inverse[:, 1:])


def linear_bayes(expected: Tensor, spread: Tensor, total: int) -> Estimator:
    """The linear estimate of least mean squared error if the softmax varies between images of a class.

    ``B g = A n + noise`` with ``A = (P - I)^T``; a priori every label is uniform, so ``n`` has mean ``B / K`` and
    covariance ``C = B (I / K - 1 / K^2)``; the noise has covariance ``B S``. Then
    ``n = B / K + C A^T (A C A^T + B S)^+ (B g - A B / K)``. Without spread it solves the system of ``least_squares``;
    with a large spread, as in a well-trained network, the estimate stays near the prior mean.

    Args:
        expected: row ``j`` is the expected softmax ``P_j`` of an image of class ``j``, ``(K, K)``.
        spread: covariance ``S`` of an image's softmax within its class, ``(K, K)``.
        total: B.
    """
    rows = _finite(expected)
    classes = len(rows)
    system = _drift(rows)
    prior = torch.full((classes,), total / classes, dtype=torch.float64)
    covariance = total * (torch.eye(classes, dtype=torch.float64) / classes - 1 / classes**2)
    seen = system @ covariance @ system.T + total * _finite(spread)
    gain = covariance @ system.T @ torch.linalg.pinv(seen, rtol=1e-10, hermitian=True)
    return Estimator(prior - gain @ system @ prior, gain)


def forced_counts(gradient: Tensor, total: int) -> Tensor:
    """Lower bounds of the images per class, ``(K,)``: ``n >= -B g``, because a softmax is never negative.

    All zeros if the bounds sum to more than ``total``: the gradient is then not exact.
    """
    forced = (-total * _finite(gradient) - SLACK).ceil().clamp(min=0).to(torch.int64)
    return forced if int(forced.sum()) <= total else torch.zeros_like(forced)


def count_images(estimator: Estimator, gradient: Tensor, total: int, *, known_scale: bool) -> Tensor:
    """Images per class ``(K,)``, integers that sum to ``total``.

    For a single image, the class is the only negative entry (Zhao et al. 2020, arXiv 2001.02610).

    Args:
        gradient: of the mean loss with respect to the last layer's bias, ``(K,)``.
        known_scale: False if ``gradient`` has an unknown positive factor, such as a local learning rate. The factor is
            then assumed to leave at least one class empty, and corrected so that the numbers are nearly integers.

    Raises:
        AttackFailedError: if the gradient is not finite, or zero where its scale is unknown.
    """
    exact = _finite(gradient)
    if total == 1 and bool((exact < 0).any()):
        return nearest_counts(-exact, total)
    slope = total * estimator.gain @ exact
    if known_scale:
        return nearest_counts(estimator.constant + slope, total, least=forced_counts(exact, total))
    return _nearest_over_scales(estimator.constant, slope, total)


def _drift(expected: Tensor) -> Tensor:
    """Column ``j``: contribution of an image of class ``j`` to ``B g``."""
    return expected.T - torch.eye(len(expected), dtype=torch.float64)


def _finite(values: Tensor) -> Tensor:
    """The values on the CPU in double precision, checked to be finite."""
    if not torch.isfinite(values).all():
        raise AttackFailedError("the gradient of the last layer or the model's output is not finite")
    return values.double().cpu()


def _nearest_over_scales(constant: Tensor, slope: Tensor, total: int) -> Tensor:
    """The counts nearest to ``constant + s * slope``, over scales ``s`` that leave some class empty or nearly empty."""
    falling = slope < 0
    if not falling.any():
        raise AttackFailedError("the gradient of the last layer is zero, so its scale cannot be determined")
    emptied = (constant[falling].clamp(min=0) / -slope[falling]).min()
    best, least = nearest_counts(constant + emptied * slope, total), torch.inf
    for scale in emptied * torch.linspace(1 - REACH, 1 + REACH, SCALES, dtype=torch.float64):
        wanted = constant + scale * slope
        counts = nearest_counts(wanted, total)
        distance = float((wanted - counts).square().sum())
        if distance < least:
            best, least = counts, distance
    return best
