"""Optimiser settings, learning-rate schedules, and one step of Adam on many trials at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from fedleak import limits
from fedleak.component import Settings
from fedleak.tensors import Tensors

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
MILESTONES = (3 / 8, 5 / 8, 7 / 8)
"""Fractions of the run after which the step schedule divides by ten (Geiping et al. 2020, arXiv 2003.14053)."""


class Optimiser(Settings):
    """Optimiser of the search: kind, learning rate and stopping rule."""

    kind: Literal["adam", "signed_adam", "lbfgs"] = "signed_adam"
    """``adam``; ``signed_adam``: on the signs of the gradient; ``lbfgs``."""
    learning_rate: float = Field(default=0.1, gt=0, le=limits.RATE)
    """Learning rate, for images normalised as the model's input."""
    schedule: Literal["constant", "step", "cosine"] = "step"
    """``constant``; ``step``: a tenth after 3/8, 5/8 and 7/8 of the iterations; ``cosine``: falls to zero."""
    warm_up: int = Field(default=0, ge=0, le=limits.ITERATIONS)
    """Iterations over which the learning rate grows from zero."""
    langevin: float = Field(default=0.0, ge=0, le=limits.RATE)
    """Gaussian noise added in every iteration, as a multiple of the learning rate."""
    weight_decay: float = Field(default=0.0, ge=0, le=limits.RATE)
    """Decoupled weight decay, as in AdamW: variables shrink by this share of the learning rate in every step."""
    gradient_blend: float = Field(default=0.0, ge=0, le=1)
    """Weight of the gradient taken at a second point (``blend_at``)."""
    blend_at: Literal["uphill", "ahead"] = "uphill"
    """The second point: ``gradient_step`` uphill, which penalises the gradient's norm, or ``ahead``, where one step of
    the optimiser leads. With ``ahead``, ``signed_adam`` blends signs, and an iteration counts as two steps."""
    gradient_step: float = Field(default=0.1, gt=0, le=limits.RATE)
    """Length of the uphill step of ``gradient_blend``, an L2 norm."""
    inner_steps: int = Field(default=20, ge=1, le=limits.ITERATIONS)
    """L-BFGS iterations per outer iteration."""
    line_search: bool = False
    """L-BFGS with the strong Wolfe conditions instead of a fixed step."""
    plateau: int = Field(default=0, ge=0, le=limits.ITERATIONS)
    """Stop after this many iterations without a decrease of the lowest matching loss by 0.1 %; 0: never. L-BFGS stops
    when its objective no longer changes."""

    @model_validator(mode="after")
    def _lbfgs_takes_its_own_steps(self) -> Self:
        ignored = [name for name in ("langevin", "gradient_blend", "plateau", "weight_decay") if getattr(self, name)]
        if self.kind == "lbfgs" and ignored:
            raise ValueError(f"optimiser lbfgs does not support {', '.join(ignored)}; use adam or signed_adam")
        return self


def learning_rate_at(settings: Optimiser, iteration: int, iterations: int) -> float:
    """The learning rate at ``iteration``, counted from zero, of ``iterations``."""
    rate = settings.learning_rate
    if settings.warm_up and iteration < settings.warm_up:
        return rate * (iteration + 1) / settings.warm_up
    if settings.schedule == "step":
        return rate * 0.1 ** sum(iteration >= share * iterations for share in MILESTONES)
    if settings.schedule == "cosine":
        length = max(1, iterations - settings.warm_up)
        return rate * 0.5 * (1 + math.cos(math.pi * (iteration - settings.warm_up) / length))
    return rate


class Moments(NamedTuple):
    """Adam's running means of gradient and squared gradient."""

    first: Tensors
    second: Tensors


def no_moments(variables: Tensors) -> Moments:
    """Zero moments before the first step."""
    # Separate tensors: arguments that share memory would trigger another compilation.
    first, second = ({name: torch.zeros_like(value) for name, value in variables.items()} for _ in range(2))
    return Moments(first, second)


def adam_rates(rate: float, step: int) -> tuple[float, float, float]:
    """Learning rate and bias corrections of Adam's step number ``step``, counted from zero."""
    return rate, 1 - BETA_1 ** (step + 1), 1 - BETA_2 ** (step + 1)


NO_PACES: Mapping[str, float] = {}


def adam_step(
    variables: Tensors,
    gradient: Tensors,
    moments: Moments,
    rates: Tensor,
    *,
    weight_decay: float = 0.0,
    paces: Mapping[str, float] = NO_PACES,
) -> tuple[Tensors, Moments]:
    """One step of Adam (Kingma & Ba 2015, arXiv 1412.6980, Algorithm 1); ``rates`` as from ``adam_rates``.

    With ``weight_decay``, of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101, Algorithm 2). ``paces`` has factors of
    the learning rate of single variables.
    """
    if weight_decay:
        variables = {n: value * (1 - rates[0] * weight_decay) for n, value in variables.items()}
    first = {n: BETA_1 * moments.first[n] + (1 - BETA_1) * gradient[n] for n in variables}
    second = {n: BETA_2 * moments.second[n] + (1 - BETA_2) * gradient[n].square() for n in variables}
    moved = {
        n: variables[n]
        - paces.get(n, 1.0) * rates[0] * (first[n] / rates[1]) / ((second[n] / rates[2]).sqrt() + EPSILON)
        for n in variables
    }
    return moved, Moments(first, second)
