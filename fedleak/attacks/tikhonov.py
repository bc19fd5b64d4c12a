"""Symmetric linear systems with Tikhonov regularisation."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST = 1e-30
"""Added to every diagonal, so that a system of zeros has the solution zero."""
ROUNDING = 1e-4
"""Largest asymmetry that rounding explains, relative to a matrix's largest entry."""


def tikhonov_solve(normal: Tensor, right: Tensor, *, weight: float) -> tuple[Tensor, Tensor]:
    """``(N + weight * m * I)^{-1} right``, where ``m`` is the mean eigenvalue of ``N``, by Cholesky's factorisation.

    Derivatives of first order are those of the solution; they do not pass through the factorisation.

    Args:
        normal: symmetric and positive semi-definite, ``(n, k, k)``.
        right: ``(n, k, columns)``.
        weight: of the Tikhonov term, at least 0.

    Returns:
        The solutions ``(n, k, columns)``, and a mask ``(n,)`` of the systems that even with the term are not positive
        definite in the precision of ``normal``; their solutions are NaN.

    Raises:
        ValueError: if a matrix is not symmetric.
    """
    seen = normal.detach()
    if ((seen - seen.mT).abs() > ROUNDING * seen.abs().amax(dim=(1, 2), keepdim=True)).any():
        raise ValueError("the matrices of a Tikhonov system must be symmetric")
    level = weight * normal.diagonal(dim1=1, dim2=2).mean(dim=1) + SMALLEST
    system = normal + level[:, None, None] * torch.eye(normal.shape[-1], dtype=normal.dtype, device=normal.device)
    with torch.no_grad():  # not by LU: MKL's fails on batches of 256 x 256 doubles with two threads (DLASWP)
        factor, failed = torch.linalg.cholesky_ex(system)
        start = torch.cholesky_solve(right, factor)
    # One step of iterative refinement. Its derivatives are those of the solution: inv(N) (dR - dN X).
    solution = start + torch.cholesky_solve(right - system @ start, factor)
    unsolved = (failed != 0)[:, None, None]
    return torch.where(unsolved, torch.full_like(solution, torch.nan), solution), failed != 0
