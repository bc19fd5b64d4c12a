"""Factorisation of a batch's gradient at a linear layer before a ReLU into the gradients of its images (SPEAR)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from fedleak.errors import AttackFailedError

REPEATS = 20
"""Most samples of a submatrix, on average."""
FIRST, BLOCK = 128, 8192
"""Submatrices sampled at a time: the first ones, and after doubling, because small batches need few."""
ROUNDING = 2e-7
"""Noise of a gradient in single precision, relative to its smallest singular value, at least."""
NOISES = 20.0
"""Multiple of the noise below which an entry counts as zero, relative to the largest of its column."""
COARSE = 100.0
"""Multiple of that before a direction is refined, because the kernel of few rows is less precise."""
LARGEST_TOLERANCE = 0.02
"""Bound of that."""
REFINEMENTS = 3
"""Rounds in which a direction is solved for again from all rows where it vanishes."""
DEAD = 1e-4
"""Length of a row of ``L``, relative to the longest, below which no image switches its unit on."""
GAP = 2.0
"""Least ratio of the smallest singular value of the batch to the largest one beyond it."""
PATIENCE, PLAUSIBLE = 4, 0.95
"""The search also ends if the match is plausible and did not grow for this multiple of the samples that it took: zeros
that noise or several local steps have hidden never match."""
MOST = 8
"""Candidates that are remembered, the sparsest, for every image."""
INDEPENDENT = 1e-4
"""Least distance of a chosen direction, of length one, from the span of the others."""


@dataclass(frozen=True)
class LowRank:
    """``dL/dW = L R`` of rank ``b``.

    Attributes:
        left: ``(m, b)`` with orthonormal columns.
        right: ``(b, n)``.
        noise: largest singular value beyond the batch, relative to its smallest.
    """

    left: Tensor
    right: Tensor
    noise: float = ROUNDING

    @property
    def fine(self) -> float:
        """Size of an entry, relative to the largest of its column of ``dL/dZ``, that counts as zero."""
        return min(LARGEST_TOLERANCE, NOISES * max(self.noise, ROUNDING))

    @property
    def coarse(self) -> float:
        """The same before a direction is refined."""
        return min(LARGEST_TOLERANCE, COARSE * self.fine)


@dataclass(frozen=True)
class ReluLayer:
    """A linear layer before a ReLU: ``weight`` ``(m, n)`` and ``bias`` ``(m,)`` of the broadcast model."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Disaggregation:
    """A batch behind a gradient.

    Attributes:
        inputs: of the layer, ``(b, n)``.
        match: share of all units and images whose ReLU is off exactly where the gradient vanishes.
    """

    inputs: Tensor
    match: float


def low_rank(gradient: Tensor, rank: int) -> LowRank:
    """The factors of a weight's gradient ``(m, n)`` by its singular value decomposition.

    Raises:
        AttackFailedError: if the gradient does not have this rank.
    """
    left, sizes, right = torch.linalg.svd(gradient, full_matrices=False)
    rest = float(sizes[rank]) if rank < len(sizes) else 0.0
    rounding = float(torch.finfo(torch.float32).eps * sizes[0])
    if not float(sizes[rank - 1]) > max(GAP * rest, rounding):
        apparent = int((sizes > max(GAP * rest, rounding)).sum())
        raise AttackFailedError(
            f"the gradient does not have the rank of {rank} different images: its singular values number {rank} and "
            f"{rank + 1} are {float(sizes[rank - 1]):.2g} and {rest:.2g}, with {apparent} above those; equal images, "
            f"or post-processing of the update, hide the batch"
        )
    return LowRank(left[:, :rank], sizes[:rank, None] * right[:rank], rest / float(sizes[rank - 1]))


def living(left: Tensor) -> Tensor:
    """The rows of ``L`` ``(m, b)`` of units that an image switches on."""
    lengths = left.norm(dim=1)
    return left[lengths > DEAD * lengths.max()]


def sampled_directions(left: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Kernels of ``count`` random submatrices of ``b - 1`` rows, of length one: ``(count, b)``.

    Args:
        left: ``(m, b)``; rows of zeros, of units that no image switches on, belong to no submatrix.
    """
    rank = left.shape[1]
    if rank == 1:
        return left.new_ones(1, 1)
    live = living(left)
    if len(live) < rank:
        return left.new_zeros(0, rank)
    rows = torch.rand(count, len(live), generator=generator).topk(rank - 1, dim=1).indices
    parts = live[rows.to(left.device)]
    solved, info = torch.linalg.solve_ex(parts[:, :, 1:], parts[:, :, :1])
    directions = torch.cat([torch.ones_like(solved[:, :1]), -solved], dim=1)[:, :, 0]
    usable = (info == 0) & directions.isfinite().all(dim=1)
    return torch.nn.functional.normalize(directions[usable], dim=1)


def vanishing(left: Tensor, directions: Tensor, tolerance: float) -> Tensor:
    """Mask ``(count, m)`` of the rows of ``left`` whose product with a direction is zero within ``tolerance``."""
    columns = (directions @ left.T).abs()
    return columns <= tolerance * columns.amax(dim=1, keepdim=True)


def refined(factors: LowRank, direction: Tensor) -> Tensor:
    """The direction ``(b,)`` solved for again from all rows where it vanishes, by least squares."""
    left = factors.left
    for tolerance in (factors.coarse, *(factors.fine,) * (REFINEMENTS - 1)):
        rows = left[vanishing(left, direction[None], tolerance)[0]]
        if len(rows) < left.shape[1] - 1:
            return direction
        direction = torch.linalg.svd(rows, full_matrices=True).Vh[-1]
    return direction


class Candidates:
    """Different directions whose columns vanish on at least a share of the units, those on most units first.

    Args:
        factors: of the gradient.
        sparsity: least share of units on which a column vanishes.
    """

    def __init__(self, factors: LowRank, sparsity: float) -> None:
        self.factors, self.sparsity = factors, sparsity
        self.directions = factors.left.new_zeros(0, factors.left.shape[1])
        self.zeros = torch.zeros(0, dtype=torch.int64, device=factors.left.device)

    def add(self, directions: Tensor) -> bool:
        """Keep the sparsest new ones of directions ``(count, b)``; whether there were any."""
        left, before = self.factors.left, self.directions
        zeros = vanishing(left, directions, self.factors.coarse).sum(dim=1)
        order = zeros.argsort(descending=True, stable=True)
        rest = directions[order[zeros[order] >= self.sparsity * len(left)]]
        for known in self.directions:
            rest = rest[differing(rest, known, self.factors.coarse)]
        for _ in range(MOST * left.shape[1]):
            if not len(rest):
                break
            self._keep(refined(self.factors, rest[0]))
            rest = rest[differing(rest, rest[0], self.factors.coarse)]
        most = self.zeros.argsort(descending=True, stable=True)[: MOST * left.shape[1]]
        self.directions, self.zeros = self.directions[most], self.zeros[most]
        return not torch.equal(self.directions, before)

    def _keep(self, direction: Tensor) -> None:
        zeros = vanishing(self.factors.left, direction[None], self.factors.fine).sum()
        new = differing(self.directions, direction, self.factors.fine).all()
        if zeros >= self.sparsity * len(self.factors.left) and new:
            self.directions = torch.cat([self.directions, direction[None]])
            self.zeros = torch.cat([self.zeros, zeros[None]])


def differing(directions: Tensor, other: Tensor, slack: float) -> Tensor:
    """Mask ``(count,)`` of the directions whose angle to ``other`` ``(b,)`` has a sine above ``slack``."""
    sines: Tensor = (directions - (directions @ other)[:, None] * other).norm(dim=1)
    return sines > slack


def independent(directions: Tensor) -> list[int]:
    """Positions of the first directions ``(count, b)`` that are independent of those before, at most ``b``."""
    chosen: list[int] = []
    basis = directions.new_zeros(0, directions.shape[1])
    for position, direction in enumerate(directions):
        rest = direction - basis.T @ (basis @ direction)
        rest = rest - basis.T @ (basis @ rest)  # once more, against rounding
        if float(rest.norm()) > INDEPENDENT:
            basis = torch.cat([basis, rest[None] / rest.norm()])
            chosen.append(position)
        if len(chosen) == directions.shape[1]:
            break
    return chosen


def assembled(factors: LowRank, layer: ReluLayer, bias_gradient: Tensor, directions: Tensor) -> Disaggregation:
    """The inputs for ``b`` directions ``(b, b)``, scaled by ``dL/db``, and how well their ReLUs match.

    ``dL/dZ = L Q`` with ``Q 1 = L^+ dL/db``, and ``X = Q^-1 R``; a factor common to both gradients cancels.
    """
    scales = torch.linalg.solve(directions.T, factors.left.T @ bias_gradient)
    mixing = directions.T * scales
    inputs = torch.linalg.solve(mixing, factors.right)
    if not inputs.isfinite().all():
        return Disaggregation(inputs.nan_to_num(), 0.0)
    active = inputs @ layer.weight.T + layer.bias > 0
    match = (active != vanishing(factors.left, directions, factors.fine)).double().mean()
    return Disaggregation(inputs, float(match))


def sparsest(factors: LowRank, layer: ReluLayer, bias_gradient: Tensor, candidates: Tensor) -> Disaggregation | None:
    """The batch from the first independent candidates ``(count, b)``; None if there are not ``b``."""
    chosen = independent(candidates)
    if len(chosen) < candidates.shape[1]:
        return None
    return assembled(factors, layer, bias_gradient, candidates[chosen])


def exchanged(factors: LowRank, layer: ReluLayer, bias_gradient: Tensor, candidates: Tensor) -> Disaggregation | None:
    """The same with candidates exchanged one by one for later ones while the match grows."""
    chosen = independent(candidates)
    if len(chosen) < candidates.shape[1]:
        return None
    best = assembled(factors, layer, bias_gradient, candidates[chosen])
    others = [number for number in range(len(candidates)) if number not in chosen]
    for number, place in product(others, range(len(chosen))):
        changed = [*chosen[:place], number, *chosen[place + 1 :]]
        if len(independent(candidates[changed])) < len(changed):
            continue
        found = assembled(factors, layer, bias_gradient, candidates[changed])
        if found.match > best.match:
            best, chosen = found, changed
    return best


def disaggregated(
    factors: LowRank,
    layer: ReluLayer,
    bias_gradient: Tensor,
    *,
    samples: int,
    sparsity: float,
    enough: float,
    generator: torch.Generator,
    reached: Callable[[int, float], bool],
) -> Disaggregation | None:
    """Sample directions until a batch matches, and return the best; None without ``b`` directions.

    Candidates are exchanged when the samples are used up, because the sparsest are those of the images once these are
    found.

    Args:
        samples: the most submatrices.
        sparsity: as for ``Candidates``.
        enough: match at which the search ends.
        reached: called after every block with the number of samples and the best match; True ends the search.
    """
    candidates, best = Candidates(factors, sparsity), Disaggregation(factors.right, 0.0)
    done, block, grown = 0, FIRST, 0
    samples = min(samples, REPEATS * math.comb(len(living(factors.left)), factors.left.shape[1] - 1))
    while done < samples and best.match < enough:
        count = min(block, samples - done)
        done, block = done + count, min(2 * block, BLOCK)
        if candidates.add(sampled_directions(factors.left, count, generator)):
            found = sparsest(factors, layer, bias_gradient, candidates.directions)
            if found is not None and found.match > best.match:
                best, grown = found, done
        if reached(done, best.match) or (best.match > PLAUSIBLE and done > PATIENCE * grown):
            break
    if best.match < min(enough, PLAUSIBLE):
        found = exchanged(factors, layer, bias_gradient, candidates.directions)
        best = found if found is not None and found.match > best.match else best
    return best if best.match > 0 else None
