"""Engines made ready once and shared by the victims of an attack."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Literal

import torch

from fedleak.attacks.inversion.decoders import Decoder
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.engine import Engine
from fedleak.attacks.inversion.objective import Objective
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors
from fedleak.attacks.inversion.replay import LocalSteps, replica
from fedleak.client.postprocess.base import PostProcess
from fedleak.threat import ModelArchitecture

CompileName = Literal["auto", "always", "never"]
WORTH_COMPILING = 2000
"""Iterations from which ``compile: auto`` compiles; a rule by count keeps results reproducible."""


@lru_cache(maxsize=4)
def engine_for(
    architecture: ModelArchitecture,
    distance: Distance,
    priors: Priors,
    decoder: Decoder,
    optimiser: Optimiser,
    steps: LocalSteps | None,
    chain: tuple[PostProcess, ...],
    train_mode: bool,
    compiled: CompileName,
    samples: int,
    device: torch.device,
) -> Engine:
    """One engine for all victims of an attack, so that nothing is compiled twice."""
    module = replica(architecture.build(seed=0), train_mode=train_mode).to(device)
    objective = Objective(module, architecture.input_shape, steps, distance, priors, decoder, chain)
    wide = objective.wide_layers(samples) if compiled == "auto" else {}
    if wide:
        reason = f"not writing out the gradients of {len(wide)} wide layers saves more"
        warnings.warn(f"inversion runs without compilation: {reason}", RuntimeWarning, stacklevel=2)
    return Engine(objective, optimiser, compiled=compiled == "always" or (compiled == "auto" and not wide))
