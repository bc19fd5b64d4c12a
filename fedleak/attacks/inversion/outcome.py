"""Result of a search, and its conversion to a reconstruction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fedleak.attacks.base import Reconstruction
from fedleak.attacks.inversion.decoders import Decoding
from fedleak.attacks.inversion.objective import SURROGATE
from fedleak.attacks.inversion.problem import Problem
from fedleak.errors import AttackFailedError
from fedleak.tensors import Tensors


@dataclass(frozen=True)
class Inversion:
    """The iterates of all trials that a search keeps.

    Attributes:
        variables: the iterate of every trial that is its result, ``(T, ...)``.
        losses: its matching loss, ``(T,)``; infinite for a trial without any finite loss.
        trace: matching loss of every trial in every iteration, ``(iterations, T)``.
    """

    variables: Tensors
    losses: Tensor
    trace: Tensor

    def of(self, trials: slice) -> Inversion:
        """The result of some of the trials."""
        variables = {name: tensor[trials] for name, tensor in self.variables.items()}
        return Inversion(variables, self.losses[trials], self.trace[:, trials])


def best_reconstruction(problem: Problem, outcome: Inversion, decoder: Decoding) -> Reconstruction:
    """The images of the trial with the lowest matching loss.

    Raises:
        AttackFailedError: if no trial had a finite loss.
    """
    losses = outcome.losses.nan_to_num(nan=torch.inf, posinf=torch.inf)
    best = int(losses.argmin())
    if not torch.isfinite(losses[best]):
        raise AttackFailedError("the matching loss was never finite")
    variables = {name: value[best] for name, value in outcome.variables.items()}
    architecture, pixels = problem.known.architecture, problem.known.pixels
    normalised = decoder.images(variables, architecture.input_shape)
    images = pixels.normalisation.undo(normalised).clamp(pixels.low, pixels.high)
    labels = None
    if problem.labels is None:
        labels = architecture.task.found_labels(variables["labels"], architecture.classes).cpu()
    curve = {"matching_loss": [float(v) for v in outcome.trace[:, best].cpu()], "kept_loss": [float(losses[best])]}
    if SURROGATE in variables:
        curve["surrogate_position"] = [float(variables[SURROGATE])]
    return Reconstruction(images=images.float().cpu(), labels=labels, curve=curve)
