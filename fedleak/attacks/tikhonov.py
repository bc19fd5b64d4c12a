"""Symmetric linear systems with Tikhonov regularisation."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST = 1e-30
"""Added to every diagonal, so that a system of zeros has the solution zero."""


def tikhonov_solve(normal: Tensor, right: Tensor, *, weight: float) -> tuple[Tensor, Tensor]:
    """``(N + weight * m * I)^{-1} right``, where ``m`` is the mean eigenvalue of ``N``.

    Args:
        normal: symmetric and positive semi-definite, ``(n, k, k)``.
        right: ``(n, k, columns)``.
        weight: of the Tikhonov term, at least 0.

    Returns:
        The solutions ``(n, k, columns)``, and a mask of the systems that are still singular, ``(n,)``.
    """
    level = weight * normal.diagonal(dim1=1, dim2=2).mean(dim=1) + SMALLEST
    identity = torch.eye(normal.shape[-1], dtype=normal.dtype, device=normal.device)
    solution, failed = torch.linalg.solve_ex(normal + level[:, None, None] * identity, right)
    return solution, failed != 0
