"""Ridge regression within groups of pairs, with the leave-one-out error in closed form.

Kernel ridge regression (Saunders, Gammerman & Vovk 1998) with a free intercept for each group and the kernel
``k(i, j) = (sharing + [same group]) <f_i, f_j>`` on features centred within the groups. The leave-one-out residual of
a linear smoother ``H`` is ``r_i / (1 - H_ii)`` (Allen 1974, PRESS), so no pairs have to be held out to choose the
settings.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedleak.errors import AttackFailedError
from fedleak.progress import Progress

NEIGHBOURS = (1.0, 10.0)
"""With sharing, these multiples of the best regularisation without sharing are tried."""
ROWS = 512
"""Rows processed at a time."""
FEW = 16
"""Rows converted to float32 at a time for one product; few enough to stay in the CPU cache."""
SMALLEST = 1e-3
"""Lower bound of a feature's standard deviation, as a fraction of the median."""
EPSILON = 1e-12


@dataclass(frozen=True)
class Grouped:
    """Inputs and targets of the pairs, centred within their groups.

    Attributes:
        features: centred and scaled ``(P, F)``, float16.
        groups: ``(P,)``.
        scales: factor of each centred feature, ``(F,)``.
        centres, means: subtracted from features ``(G, F)`` and targets ``(G, O)``: the mean of the group, or of all
            pairs for a group with fewer than two.
    """

    features: Tensor
    groups: Tensor
    scales: Tensor
    centres: Tensor
    means: Tensor

    @classmethod
    def of(cls, features: Tensor, targets: Tensor, groups: Tensor, weights: Tensor, *, count: int) -> Grouped:
        """Centre features within groups, and scale each so that its standard deviation equals its weight.

        Args:
            features: float16 ``(P, F)``, overwritten, because memory may not allow a second copy.
            targets: ``(P, O)``.
            groups: ``(P,)``.
            weights: ``(F,)``.
            count: number of groups, including those without pairs.
        """
        centres, means = group_means(features, groups, count), group_means(targets, groups, count)
        squares = torch.zeros_like(weights)
        for part in _parts(len(features)):
            centred = features[part].to(weights.dtype) - centres[groups[part]]
            squares += centred.square().sum(dim=0)
            features[part] = centred.to(features.dtype)
        deviation = (squares / len(features)).sqrt()
        scales = weights / deviation.clamp_min(float(deviation.median()) * SMALLEST + EPSILON)
        for part in _parts(len(features)):
            features[part] = (features[part].to(weights.dtype) * scales).to(features.dtype)
        return cls(features, groups, scales, centres, means)

    def members(self) -> Iterator[Tensor]:
        """Indices of the pairs of each non-empty group."""
        for group in torch.bincount(self.groups).nonzero()[:, 0]:
            yield (self.groups == group).nonzero()[:, 0]

    def predict(self, solution: Solution, features: Tensor, group: int) -> Tensor:
        """Predicted target ``(O,)`` of one input ``(F,)`` of ``group``; the mean of all for a group without pairs."""
        rows = (self.groups == group).nonzero()[:, 0]
        if not len(rows):  # the shared part was fitted around the centres of other groups, far from this input
            return self.means[group]
        centred = (features - self.centres[group]) * self.scales
        similarity = torch.cat([self.features[few].to(centred.dtype) @ centred for few in torch.split(rows, FEW)])
        apart = similarity @ solution.coefficients[rows]
        if solution.sharing == 0:
            return self.means[group] + apart
        return self.means[group] + apart + solution.sharing * (centred @ solution.pooled)


@dataclass(frozen=True)
class Solution:
    """A solution of the ridge regression.

    Attributes:
        coefficients: of the pairs, ``(P, O)``.
        pooled: features times coefficients over all pairs, ``(F, O)``, shared by all groups; empty without sharing.
        regularisation: in units of the kernel's mean diagonal.
        sharing: similarity of different groups.
    """

    coefficients: Tensor
    pooled: Tensor
    regularisation: float
    sharing: float


@dataclass(frozen=True)
class ScoredSolution:
    """A solution with its leave-one-out predictions ``(P, O)`` and their mean squared error."""

    solution: Solution
    leave_one_out: Tensor
    error: float


def group_means(values: Tensor, groups: Tensor, count: int) -> Tensor:
    """Mean of ``(P, D)`` over each of ``count`` groups, ``(count, D)``; the overall mean for groups below two."""
    sums = torch.zeros(count, values.shape[1], device=values.device)
    for part in _parts(len(values)):
        sums.index_add_(0, groups[part], values[part].to(sums.dtype))
    sizes = torch.bincount(groups, minlength=count)[:, None]
    return torch.where(sizes > 1, sums / sizes.clamp_min(1), sums.sum(dim=0) / len(values))


def _parts(count: int) -> list[slice]:
    return [slice(start, start + ROWS) for start in range(0, count, ROWS)]


def solve(
    grouped: Grouped,
    targets: Tensor,
    *,
    regularisation: Sequence[float],
    sharing: Sequence[float],
    progress: Progress,
    name: str,
) -> ScoredSolution:
    """The solution with the lowest leave-one-out error.

    Args:
        targets: ``(P, O)``.
        regularisation: candidates, in units of the mean of the kernel's diagonal.
        sharing: candidates; nonzero ones are tried near the best regularisation without sharing.

    Raises:
        AttackFailedError: if no candidate has a finite error.
    """
    diagonal = float(grouped.features.to(torch.float32).square().sum(dim=1).mean())
    residual = (targets - grouped.means[grouped.groups]).to(torch.float64)
    joint = list(itertools.product([value for value in sharing if value > 0], NEIGHBOURS))
    bar = progress.task(f"solving {name}", len(regularisation) + len(joint))
    spectra = [_Spectrum.of(grouped, residual, rows) for rows in grouped.members()]
    nothing = targets.new_zeros(0)
    best = ScoredSolution(Solution(residual, nothing, 0.0, 0.0), targets, math.inf)
    for candidate in sorted(regularisation):
        coefficients, left_out = torch.empty_like(residual), torch.empty_like(residual)
        for spectrum in spectra:
            coefficients[spectrum.rows], left_out[spectrum.rows] = spectrum.solve(candidate * diagonal)
        best = _better(best, Solution(coefficients, nothing, candidate, 0.0), left_out, targets)
        bar.advance(note=f"leave-one-out mse {best.error:.5f}")
    apart = best.solution.regularisation
    for similarity, factor in joint:
        penalty = apart * factor * diagonal * (1 + similarity)
        coefficients, left_out = _solve_jointly(grouped, residual, similarity, penalty)
        best = _better(best, Solution(coefficients, nothing, apart * factor, similarity), left_out, targets)
        bar.advance(note=f"leave-one-out mse {best.error:.5f}")
    if not math.isfinite(best.error):
        raise AttackFailedError("the ridge regression has no finite solution; increase the regularisation")
    if best.solution.sharing > 0:
        return replace(best, solution=replace(best.solution, pooled=_pooled(grouped, best.solution.coefficients)))
    return best


def _pooled(grouped: Grouped, coefficients: Tensor) -> Tensor:
    total = coefficients.new_zeros(grouped.features.shape[1], coefficients.shape[1])
    for start in range(0, len(coefficients), ROWS):
        total += grouped.features[start : start + ROWS].T.to(total.dtype) @ coefficients[start : start + ROWS]
    return total


def _better(best: ScoredSolution, solution: Solution, left_out: Tensor, targets: Tensor) -> ScoredSolution:
    error = float(left_out.square().mean())
    if not error < best.error:
        return best
    kept = replace(solution, coefficients=solution.coefficients.to(torch.float32))
    return ScoredSolution(kept, targets - left_out.to(targets.dtype), error)


@dataclass(frozen=True)
class _Spectrum:
    """Eigendecomposition of one group's kernel, computed once for all regularisations."""

    rows: Tensor
    values: Tensor
    vectors: Tensor
    rotated: Tensor

    @classmethod
    def of(cls, grouped: Grouped, residual: Tensor, rows: Tensor) -> _Spectrum:
        features = _centred(grouped.features[rows].to(torch.float64))
        values, vectors = torch.linalg.eigh(features @ features.T)
        return cls(rows, values.clamp_min(0), vectors, vectors.T @ residual[rows])

    def solve(self, penalty: float) -> tuple[Tensor, Tensor]:
        """Coefficients and leave-one-out residuals ``(n, O)``."""
        inverse = 1 / (self.values + penalty)
        coefficients = self.vectors @ (self.rotated * inverse[:, None])
        diagonal = self.vectors.square() @ inverse
        return coefficients, _left_out(coefficients, diagonal, penalty, torch.full_like(diagonal, len(self.rows)))


def _solve_jointly(grouped: Grouped, residual: Tensor, sharing: float, penalty: float) -> tuple[Tensor, Tensor]:
    """Coefficients and leave-one-out residuals ``(P, O)`` with sharing between groups."""
    kernel = residual.new_empty(len(residual), len(residual))
    features = grouped.features.to(torch.float32)
    for rows in grouped.members():
        features[rows] = _centred(features[rows])
    for start in range(0, len(residual), ROWS):
        stop = start + ROWS
        same = grouped.groups[start:stop, None] == grouped.groups
        kernel[start:stop] = (features[start:stop] @ features.T) * (sharing + same.to(torch.float32))
    kernel.diagonal().add_(penalty)
    factor, failed = torch.linalg.cholesky_ex(kernel)
    if failed:
        return residual, torch.full_like(residual, torch.inf)
    coefficients = torch.cholesky_solve(residual, factor)
    sizes = torch.bincount(grouped.groups)[grouped.groups].to(residual.dtype)
    return coefficients, _left_out(coefficients, torch.cholesky_inverse(factor).diagonal(), penalty, sizes)


def _centred(features: Tensor) -> Tensor:
    """Features centred again, because float16 rounding shifts the mean and the intercept must be orthogonal."""
    return features - features.mean(dim=0) if len(features) > 1 else features


def _left_out(coefficients: Tensor, inverse_diagonal: Tensor, penalty: float, sizes: Tensor) -> Tensor:
    """``r_i / (1 - H_ii)``, where the smoother ``H`` includes the kernel and, if the group has one, its own mean."""
    means = torch.where(sizes > 1, 1 / sizes, 0.0)
    influence = (penalty * inverse_diagonal - means).clamp_min(torch.finfo(sizes.dtype).eps)
    return penalty * coefficients / influence[:, None]


@dataclass(frozen=True)
class LinearMap:
    """Linear map ``features @ weights + intercept``: ``(n, F)`` -> ``(n, O)``."""

    weights: Tensor
    intercept: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Apply the map in the precision of its weights."""
        result: Tensor = features.to(self.weights.dtype) @ self.weights + self.intercept
        return result


def solve_map(features: Tensor, targets: Tensor, *, regularisation: Sequence[float]) -> tuple[LinearMap, float]:
    """Ridge regression of targets ``(P, O)`` on features ``(P, F)``, and its mean squared leave-one-out error.

    Args:
        regularisation: candidates, in units of the mean eigenvalue of the centred features' scatter matrix.

    Raises:
        AttackFailedError: if no candidate has a finite error.
    """
    centre, mean = features.to(torch.float64).mean(dim=0), targets.to(torch.float64).mean(dim=0)
    inputs, residual = features.to(torch.float64) - centre, targets.to(torch.float64) - mean
    values, vectors = torch.linalg.eigh(inputs.T @ inputs)
    rotated, scores = vectors.T @ (inputs.T @ residual), (inputs @ vectors).square()
    best, weights = math.inf, torch.zeros_like(rotated)
    for candidate in sorted(regularisation):
        inverse = 1 / (values.clamp_min(0) + candidate * values.clamp_min(0).mean() + EPSILON)
        solution = vectors @ (rotated * inverse[:, None])
        influence = scores @ inverse + 1 / len(inputs)
        error = float(((residual - inputs @ solution) / (1 - influence).clamp_min(EPSILON)[:, None]).square().mean())
        if error < best:
            best, weights = error, solution
    if not math.isfinite(best):
        raise AttackFailedError("the pairs give no finite linear map to the image")
    return LinearMap(weights.to(torch.float32), (mean - centre @ weights).to(torch.float32)), best
