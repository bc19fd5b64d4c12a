"""SME: gradient inversion at a surrogate model between the broadcast and the returned one."""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, model_validator

from fedleak import limits
from fedleak.attacks.inversion.base import LabelledInversion
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.objective import SURROGATE, SearchTensors
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors
from fedleak.attacks.inversion.problem import Problem
from fedleak.attacks.inversion.states import KeptName
from fedleak.tensors import Tensors


class SurrogateModel(LabelledInversion):
    """SME: one gradient at a model between broadcast and returned weights (Zhu et al. 2023, arXiv 2306.00127).

    The gradients of local steps lie near a line, so their sum points along the gradient at some model
    ``w = w_0 + a (w_T - w_0)`` on the segment between the broadcast and the returned weights. Images and ``a`` are
    searched together: ``min 1 - cos(w_0 - w_T, grad L(w; images))`` plus total variation. Learning rate, number of
    steps and mini-batches need not be known, and an iteration costs as much as for one gradient.

    Defaults are those of the authors' code: 1,000 iterations of Adam at rate 1, ``a`` from 0.5 at rate 0.001, both
    falling in steps, the last iterate. Our reading: their total variation of 0.01 halves the sum of the two means, so
    the weight here is 0.005. A gradient (``fedsgd``) has no returned model, and is matched at the broadcast one.

    Fails where the local steps bend: at large local learning rates, with several mini-batches, and as batches grow.
    """

    kind: Literal["surrogate_model"] = "surrogate_model"
    iterations: int = Field(default=1000, ge=1, le=limits.ITERATIONS)
    keep: KeptName = "last"
    distance: Distance = Distance(kind="cosine")
    priors: Priors = Priors(total_variation=0.005)
    optimiser: Optimiser = Optimiser(kind="adam", learning_rate=1.0, schedule="step")
    position: float = Field(default=0.5, ge=0, le=1)
    """Share of the way from the broadcast model (0) to the returned one (1) at which the surrogate model starts."""
    position_rate: float = Field(default=0.001, ge=0, le=limits.RATE)
    """Learning rate of the position, with the optimiser's schedule; 0: it stays where it starts."""

    @model_validator(mode="after")
    def _steps_are_not_unrolled(self) -> Self:
        if self.local_training is not None:
            raise ValueError("surrogate_model assumes nothing of local steps: leave out local_training")
        if self.optimiser.kind == "lbfgs":
            raise ValueError(
                "surrogate_model needs optimiser adam or signed_adam: L-BFGS has one rate for all variables"
            )
        return self

    @property
    def _surrogate_pace(self) -> float:
        return self.position_rate / self.optimiser.learning_rate

    @property
    def _fixed(self) -> frozenset[str]:
        return frozenset() if self.position_rate else frozenset({SURROGATE})

    def _start(self, problem: Problem, tensors: SearchTensors, generator: torch.Generator) -> Tensors:
        variables = super()._start(problem, tensors, generator)
        if problem.known.update.protocol != "fedavg":
            return variables
        return variables | {SURROGATE: problem.like.new_full((self.restarts,), self.position)}
