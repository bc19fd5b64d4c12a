"""From an averaged gradient to whole numbers of images per class: pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fedleak.errors import AttackFailedError

SCALES = 201
"""Scales tried around the one that leaves some class empty."""
SLACK = 1e-3
"""Of an image, by which a rounded gradient may claim too much."""
REACH = 0.25
"""How far they reach to either side, as a share of it."""


def labels_of(counts: Tensor) -> Tensor:
    """Numbers of images per class ``(K,)`` -> sorted labels ``(B,)``."""
    return torch.arange(len(counts)).repeat_interleave(counts.cpu())


def nearest_counts(wanted: Tensor, total: int, *, least: Tensor | None = None) -> Tensor:
    """The whole numbers that sum to ``total`` and lie nearest to ``wanted`` ``(K,)`` in squared distance.

    One at a time goes to where most is missing, which is exact for a separable convex cost.

    Args:
        least: lower bounds ``(K,)`` that sum to at most ``total``; zeros unless given.
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
        expected: row ``j`` is the softmax ``P_j`` expected of an image of class ``j``, ``(K, K)``.
        total: B.
    """
    rows = _finite(expected)
    one = torch.ones(1, len(rows), dtype=torch.float64)
    inverse = torch.linalg.pinv(torch.cat([one, _drift(rows)]))
    return Estimator(inverse[:, 0] * total, inverse[:, 1:])


def linear_bayes(expected: Tensor, spread: Tensor, total: int) -> Estimator:
    """The linear estimate of least mean squared error where the softmax of single images varies.

    ``B g = A n + noise`` with ``A = (P - I)^T``; a priori every label is uniform, so ``n`` has mean ``B / K`` and
    covariance ``C = B (I / K - 1 / K^2)``; the noise has covariance ``B S``. Then
    ``n = B / K + C A^T (A C A^T + B S)^+ (B g - A B / K)``. Without spread it solves the system of ``least_squares``;
    with much of it, as in a well-trained network, the estimate stays near what is known beforehand.

    Args:
        expected: row ``j`` is the softmax ``P_j`` expected of an image of class ``j``, ``(K, K)``.
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
    """Images that each class must have at least, ``(K,)``: ``n >= -B g``, because no softmax is negative.

    Zeros where that is more than ``total`` together: the gradient is then not an exact one.
    """
    forced = (-total * _finite(gradient) - SLACK).ceil().clamp(min=0).to(torch.int64)
    return forced if int(forced.sum()) <= total else torch.zeros_like(forced)


def count_images(estimator: Estimator, gradient: Tensor, total: int, *, known_scale: bool) -> Tensor:
    """Images per class ``(K,)``, whole numbers that sum to ``total``.

    A single image gives its class away by itself: no other entry is negative (Zhao et al. 2020, arXiv 2001.02610).

    Args:
        gradient: of the mean loss for the last layer's bias, ``(K,)``.
        known_scale: else ``gradient`` has an unknown positive factor, such as a local learning rate. It is then taken
            to be the one that leaves at least one class empty, corrected so that the numbers come out nearly whole.

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
    """Column ``j``: what an image of class ``j`` adds to ``B g``."""
    return expected.T - torch.eye(len(expected), dtype=torch.float64)


def _finite(values: Tensor) -> Tensor:
    """On the CPU in double precision."""
    if not torch.isfinite(values).all():
        raise AttackFailedError("the gradient of the last layer is not finite, or the model's answer is not")
    return values.double().cpu()


def _nearest_over_scales(constant: Tensor, slope: Tensor, total: int) -> Tensor:
    """The counts nearest to ``constant + s * slope`` over scales ``s`` at which some class is empty, or nearly so."""
    falling = slope < 0
    if not falling.any():
        raise AttackFailedError("the gradient of the last layer is zero: its scale cannot be told")
    emptied = (constant[falling].clamp(min=0) / -slope[falling]).min()
    best, least = nearest_counts(constant + emptied * slope, total), torch.inf
    for scale in emptied * torch.linspace(1 - REACH, 1 + REACH, SCALES, dtype=torch.float64):
        wanted = constant + scale * slope
        counts = nearest_counts(wanted, total)
        distance = float((wanted - counts).square().sum())
        if distance < least:
            best, least = counts, distance
    return best
