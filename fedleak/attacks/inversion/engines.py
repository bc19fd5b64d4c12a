"""Cache of engines, shared by the victims of an attack."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch

from fedleak.attacks.inversion.decoders import Decoding
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.dropout import with_masks
from fedleak.attacks.inversion.engine import Engine
from fedleak.attacks.inversion.objective import Objective
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors
from fedleak.attacks.replay import LocalSteps, as_replica
from fedleak.attacks.trial import runs_in_parallel
from fedleak.client.postprocess.base import PostProcess
from fedleak.threat import ModelArchitecture

CompileName = Literal["auto", "always", "never"]
WORTH_COMPILING = 2000
"""Iterations from which ``compile: auto`` compiles; a fixed count keeps results reproducible."""


@dataclass(frozen=True)
class EngineSettings:
    """Settings of an engine; victims with equal settings share one engine.

    Attributes:
        architecture: of the leaked model.
        distance, priors, decoder, optimiser: settings of the attack.
        steps, postprocessing: as in the problem.
        train_mode: normalise with the statistics of the batch.
        compiled: whether to compile the iteration with ``torch.compile``.
        samples: images per victim.
        device: where to compute.
        fixed: names of variables that are not searched.
        mask_weight: of the distance of dropout masks' rates, which are searched; None: dropout is off.
        surrogate_pace: as of the engine.
    """

    architecture: ModelArchitecture
    distance: Distance
    priors: Priors
    decoder: Decoding
    optimiser: Optimiser
    steps: LocalSteps | None
    postprocessing: tuple[PostProcess, ...]
    train_mode: bool
    compiled: CompileName
    samples: int
    device: torch.device
    fixed: frozenset[str] = frozenset()
    mask_weight: float | None = None
    surrogate_pace: float = 1.0

    def objective(self) -> Objective:
        """The objective that the engine minimises."""
        module = as_replica(self.architecture.build(seed=0), train_mode=self.train_mode)
        module = (module if self.mask_weight is None else with_masks(module)).to(self.device)
        return Objective(
            module,
            self.architecture.input_shape,
            self.steps,
            self.distance,
            self.priors,
            self.decoder,
            self.postprocessing,
            parallel=runs_in_parallel(module, self.architecture.input_shape, self.architecture.task),
            task=self.architecture.task,
            factored=self.mask_weight is None,
            mask_weight=self.mask_weight,
        )


@lru_cache(maxsize=4)
def engine_for(settings: EngineSettings) -> Engine:
    """The cached engine for these settings, so that nothing is compiled twice."""
    objective, compiled = settings.objective(), settings.compiled
    wide = objective.wide_layers(settings.samples) if compiled == "auto" else {}
    if wide:
        reason = f"keeping the gradients of {len(wide)} wide layers in factored form saves more"
        warnings.warn(f"inversion runs without compilation: {reason}", RuntimeWarning, stacklevel=2)
    whole = compiled == "always" or (compiled == "auto" and not wide)
    return Engine(
        objective,
        settings.optimiser,
        compiled=whole,
        fixed=settings.fixed,
        surrogate_pace=settings.surrogate_pace,
    )
