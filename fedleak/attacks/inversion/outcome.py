"""What came out of a search, and the images it stands for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fedleak.attacks.base import Reconstruction
from fedleak.attacks.inversion.decoders import Decoding
from fedleak.attacks.inversion.problem import Problem
from fedleak.attacks.inversion.replay import Tensors
from fedleak.errors import AttackFailedError


@dataclass(frozen=True)
class Inversion:
    """The best iterates of all trials.

    Attributes:
        variables: the best iterate of every trial, ``(T, ...)``.
        losses: its matching loss, ``(T,)``; infinite for a trial that never had a finite one.
        trace: matching loss of every trial in every iteration, ``(iterations, T)``.
    """

    variables: Tensors
    losses: Tensor
    trace: Tensor

    def of(self, trials: slice) -> Inversion:
        """Some of the trials."""
        variables = {name: tensor[trials] for name, tensor in self.variables.items()}
        return Inversion(variables, self.losses[trials], self.trace[:, trials])


def best_reconstruction(problem: Problem, outcome: Inversion, decoder: Decoding) -> Reconstruction:
    """The images of the trial with the lowest matching loss.

    Raises:
        AttackFailedError: if no trial ever had a finite loss.
    """
    losses = outcome.losses.nan_to_num(nan=torch.inf, posinf=torch.inf)
    best = int(losses.argmin())
    if not torch.isfinite(losses[best]):
        raise AttackFailedError("the matching loss was never finite")
    variables = {name: value[best] for name, value in outcome.variables.items()}
    images = decoder.images(variables, problem.architecture.input_shape)
    std, mean = (torch.tensor(v).to(images).reshape(-1, 1, 1) for v in (problem.pixels.std, problem.pixels.mean))
    pixels = (images * std + mean).clamp(problem.pixels.low, problem.pixels.high)
    labels = variables["logits"].argmax(dim=-1).cpu() if problem.labels is None else None
    trace = outcome.trace[:, best]
    return Reconstruction(
        images=pixels.float().cpu(), labels=labels, curve={"matching_loss": [float(v) for v in trace.cpu()]}
    )
