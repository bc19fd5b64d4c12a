"""Dropout Inversion Attack: images and dropout masks are searched together."""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, model_validator

from fedleak import limits
from fedleak.attacks.inversion.base import LabelledInversion
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.dropout import random_masks
from fedleak.attacks.inversion.objective import SearchTensors
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors
from fedleak.attacks.inversion.problem import Problem
from fedleak.attacks.inversion.states import KeptName
from fedleak.tensors import Tensors


class DropoutInversion(LabelledInversion):
    """DIA: Inverting Gradients with dropout masks as variables (Scheliga et al. 2023, AAAI, arXiv 2208.06163).

    For clients that train with dropout (``federation.client.dropout: true``): the client's masks are unknown, and an
    attack without them rebuilds little. Masks start as random draws with each layer's rate, are searched together with
    the images by Adam on their own gradient (pixels by its sign), and are clipped to [0, 1]. As in the published code,
    a regularisation keeps the share of dropped units near the rate; Adam at 0.1, total variation 1e-5, 20,000
    iterations. The code lowers the rate on a plateau and stops early; ours steps it as Inverting Gradients does. One
    gradient has one mask per image: the masks of several local steps are not searched. Networks without dropout layers
    are attacked as by Inverting Gradients.

    Fails on few iterations, because masks settle late, and as the share of dropped units grows.
    """

    kind: Literal["dropout_inversion"] = "dropout_inversion"
    iterations: int = Field(default=20_000, ge=1, le=limits.ITERATIONS)
    keep: KeptName = "lowest"
    distance: Distance = Distance(kind="cosine")
    priors: Priors = Priors(total_variation=1e-5)
    optimiser: Optimiser = Optimiser(kind="signed_adam", learning_rate=0.1, schedule="step")
    mask_weight: float = Field(default=1e-4, ge=0, le=limits.RATE)
    """Weight of the distance between the share of dropped units and the layer's rate."""

    @model_validator(mode="after")
    def _one_gradient(self) -> Self:
        if self.local_training is not None:
            raise ValueError(
                "dropout_inversion searches one mask per image, so it matches one gradient: no local_training"
            )
        return self

    @property
    def _mask_weight(self) -> float:
        return self.mask_weight

    def _start(self, problem: Problem, tensors: SearchTensors, generator: torch.Generator) -> Tensors:
        """The usual start, and random masks for each trial, ``(T, B, ...)``."""
        module, shape = self._engine(problem).objective.module, problem.known.architecture.input_shape
        start = super()._start(problem, tensors, generator)
        masks = random_masks(module, shape, trials=self.restarts, samples=problem.samples, generator=generator)
        return start | {name: mask.to(problem.like) for name, mask in masks.items()}
