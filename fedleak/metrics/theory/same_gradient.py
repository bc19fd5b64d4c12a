"""Search for a second batch with the same gradient."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import least_squares
from torch import Tensor
from torch.func import functional_call, grad, jacrev

from fedleak import limits
from fedleak.attacks.matching import pairwise_squared_distance
from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.metrics.theory.base import NotApplicableError, Prediction, Theory
from fedleak.models.state import trainable
from fedleak.transcript.manifest import TrainingRecord

Floats = NDArray[np.float64]
MOST_PARAMETERS = 5000
"""Largest number of model parameters, because the full Jacobian (parameters x pixels of the batch) is formed."""
SMALLEST_DAMPING, LARGEST_DAMPING = 1e-15, 1e6
ROUNDING = 1e-13
"""Relative difference of gradients that counts as zero in double precision."""


class SameGradient(Theory):
    """A different batch with the same labels and the same gradient (Du et al. 2024, arXiv 2404.05403, Theorem 4.3).

    The theorem: if the batch has more pixels than the model has parameters, there is a mask m != 0 with
    ``F(x + m) = F(x)`` for the gradient F. Its proof solves the linearised ``J m = 0`` (appendix A iii); here the mask
    is constructed and the equality is verified for F itself: a root of the relative difference of the gradients, in
    double precision, near a noisy batch (``shortest_way``). With fewer pixels than parameters, the search is expected
    to end at the true batch or without a root. The theorem is about real numbers: pixels may leave [0, 1] unless
    ``bounded`` is set, which makes the search harder and is not covered by the theorem.

    ``update_gap`` is ``||F(x') - F(x)|| / ||F(x)||``; ``second_batch`` is 1 if it is at most ``tolerance`` and the
    images differ by ``distance`` or more, else 0; ``outside`` is the fraction of pixels outside [0, 1]. Images are
    clamped to [0, 1] for display and scoring.
    """

    columns: ClassVar[tuple[str, ...]] = ("update_gap", "second_batch", "outside")

    kind: Literal["same_gradient"] = "same_gradient"
    tolerance: float = Field(default=1e-6, gt=0, le=limits.RATE)
    """Largest relative difference of gradients that count as equal."""
    distance: float = Field(default=0.05, gt=0, le=limits.RATE)
    """Root mean square pixel difference, after matching, from which batches count as different."""
    noise: float = Field(default=0.5, gt=0, le=1)
    """Fraction of uniform noise in the initial images; the rest is the true batch."""
    steps: int = Field(default=200, ge=1, le=limits.ITERATIONS)
    """Largest number of steps, or of evaluations if bounded."""
    starts: int = Field(default=5, ge=1, le=limits.RESTARTS)
    """Largest number of noisy initial batches tried until a second batch is found."""
    bounded: bool = False
    """Restrict pixels to [0, 1] (scipy's trust region)."""

    def predict(self, leaked: LeakedBatch, training: TrainingRecord, *, generator: torch.Generator) -> Prediction:
        """The final batch of the search, whether or not it is a second batch.

        Raises:
            NotApplicableError: for models with too many parameters to form the Jacobian.
        """
        size = sum(parameter.numel() for parameter in trainable(leaked.module).values())
        if size > MOST_PARAMETERS:
            raise NotApplicableError(f"the Jacobian of {size} parameters is too large; the limit is {MOST_PARAMETERS}")
        images, gap, second = leaked.images.double(), float("inf"), False
        for _ in range(self.starts):
            found, difference = self.search(leaked, generator)
            second = difference <= self.tolerance and rms_distance(found, leaked.images.double()) >= self.distance
            if second or difference < gap:
                images, gap = found, difference
            if second:
                break
        outside = float(((images < 0) | (images > 1)).double().mean())
        metrics = {"update_gap": gap, "second_batch": float(second), "outside": outside}
        return Prediction(images.clamp(0, 1).to(leaked.images), metrics)

    def search(self, leaked: LeakedBatch, generator: torch.Generator) -> tuple[Tensor, float]:
        """The final batch ``(B, C, H, W)`` of one search in double precision, and its ``update_gap``."""
        problem = _GradientEquations(leaked)
        noise = torch.rand(leaked.images.shape, generator=generator, dtype=torch.float64)
        start: Floats = torch.lerp(leaked.images.double(), noise, self.noise).numpy().ravel()
        if self.bounded:
            settings = {"max_nfev": self.steps, "ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15}
            inside = start.clip(0.01, 0.99)
            end = least_squares(problem.residual, inside, problem.jacobian, bounds=(0.0, 1.0), **settings).x
        else:
            end = shortest_way(problem.residual, problem.jacobian, start, steps=self.steps)
        return torch.from_numpy(end).reshape(leaked.images.shape), float(np.linalg.norm(problem.residual(end)))


def shortest_way(
    residual: Callable[[Floats], Floats], jacobian: Callable[[Floats], Floats], start: Floats, *, steps: int
) -> Floats:
    """A root near ``start`` of fewer equations than unknowns, by Levenberg-Marquardt steps of minimum norm.

    The steps ``-J^T (J J^T + damping I)^-1 r`` lead to a nearby root and need a system only as large as the number of
    equations. Scipy's own Levenberg-Marquardt rejects such problems, and its trust region moves far from the start.

    Args:
        residual: ``(n,)`` -> ``(m,)``.
        jacobian: ``(n,)`` -> ``(m, n)``.
        steps: largest number of steps.
    """
    point, damping = start, 1e-3
    rest = residual(point)
    for _ in range(steps):
        slopes = jacobian(point)
        system = slopes @ slopes.T
        unit = float(np.trace(system)) / len(system) * np.eye(len(system))
        while damping < LARGEST_DAMPING:
            trial = point - slopes.T @ np.linalg.solve(system + damping * unit, rest)
            found = residual(trial)
            if np.linalg.norm(found) < np.linalg.norm(rest):
                break
            damping *= 4
        else:
            return point
        point, rest, damping = trial, found, max(damping / 10, SMALLEST_DAMPING)
        if np.linalg.norm(rest) < ROUNDING:
            return point
    return point


def rms_distance(images: Tensor, truth: Tensor) -> float:
    """Root mean square difference of two batches ``(B, C, H, W)``, with images matched one to one."""
    from scipy.optimize import linear_sum_assignment

    cost = pairwise_squared_distance(images[None], truth[None])[0]
    rows, columns = linear_sum_assignment(cost.numpy())
    return float((images[rows] - truth[columns]).square().mean().sqrt())


class _GradientEquations:
    """Relative difference to the true gradient as a function of flat pixels, in double precision."""

    def __init__(self, leaked: LeakedBatch) -> None:
        self._module = copy.deepcopy(leaked.module).double()
        self._leaked, self._shape = leaked, leaked.images.shape
        self._parameters: dict[str, Tensor] = {n: p.detach() for n, p in trainable(self._module).items()}
        self._true = self._gradient(leaked.images.double().flatten())
        self._size = self._true.norm()

    def _gradient(self, pixels: Tensor) -> Tensor:
        def loss(weights: dict[str, Tensor]) -> Tensor:
            images = self._leaked.normalised(pixels.reshape(self._shape))
            return self._leaked.task.loss(functional_call(self._module, weights, (images,)), self._leaked.targets)

        gradient: dict[str, Tensor] = grad(loss)(self._parameters)
        return torch.cat([value.flatten() for value in gradient.values()])

    def residual(self, pixels: Floats) -> Floats:
        """Residual ``(P,)`` at flat pixels."""
        residual: Floats = ((self._gradient(torch.from_numpy(pixels)) - self._true) / self._size).numpy()
        return residual

    def jacobian(self, pixels: Floats) -> Floats:
        """Jacobian ``(P, B C H W)`` at flat pixels."""
        by_pixel = jacrev(self._gradient)(torch.from_numpy(pixels))
        jacobian: Floats = (by_pixel / self._size).detach().numpy()
        return jacobian
