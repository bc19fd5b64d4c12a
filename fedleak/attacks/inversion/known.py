"""From a problem to the tensors that the objective is computed from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.noise import noise_weights
from fedleak.attacks.inversion.objective import Known
from fedleak.attacks.inversion.problem import Problem
from fedleak.attacks.inversion.replay import Tensors, split_state
from fedleak.errors import AttackFailedError
from fedleak.threat import PixelPrior


def known_of(problem: Problem, distance: Distance, *, restarts: int, box: bool) -> Known:
    """What is known about one victim, once for each restart.

    Raises:
        AttackFailedError: if the update is not finite, or its unknown size matters to the distance or to a step that
            trial updates pass through.
    """
    update = problem.update
    if not problem.knows_size:
        _check_direction_is_enough(problem, distance)
    turn = 1.0 if problem.knows_size else -1.0
    target = {name: turn * tensor for name, tensor in update.tensors.items()}
    if not all(torch.isfinite(tensor).all() for tensor in target.values()):
        raise AttackFailedError("the update is not finite")
    module = problem.architecture.build(seed=0)
    parameters, buffers = split_state(module, problem.model.state)
    first = next(iter(target.values()))
    probabilities: Tensors = {}
    if problem.labels is not None:
        one_hot = F.one_hot(problem.labels, problem.architecture.classes).to(first)
        probabilities = {"probabilities": _repeat(one_hot, restarts)}
    weights = noise_weights(problem.chain, target)
    masks = {n: distance.mask(t) for n, t in target.items()} if distance.top_share < 1 or weights else {}
    return Known(
        parameters=parameters,
        buffers=buffers,
        target={name: _repeat(tensor, restarts) for name, tensor in target.items()},
        mask={n: _repeat(mask * weights.get(n, 1.0), restarts) for n, mask in masks.items()},
        labels=probabilities,
        consensus={},
        box=_box(problem.pixels, first) if box else {},
        statistics={name: _repeat(tensor.to(first), restarts) for name, tensor in problem.statistics.items()},
    )


def _check_direction_is_enough(problem: Problem, distance: Distance) -> None:
    way_out = "but the update is a weight delta; give local_training"
    if not distance.is_scale_free:
        raise AttackFailedError(
            f"distance {distance.kind} needs a gradient of known size, {way_out}, or take a cosine distance"
        )
    for step in problem.chain:
        if step.needs_size:
            raise AttackFailedError(f"passing trial updates through {step.kind} needs their size, {way_out}")


def stack_known(several: Sequence[Known]) -> Known:
    """Victims of one model side by side: what belongs to a trial is laid end to end, the rest is common."""
    if len(several) == 1:
        return several[0]
    return several[0]._replace(
        target=stack_trials([known.target for known in several]),
        mask=stack_trials([known.mask for known in several]),
        labels=stack_trials([known.labels for known in several]),
        statistics=stack_trials([known.statistics for known in several]),
    )


def stack_trials(several: Sequence[Tensors]) -> Tensors:
    """Tensors ``(T, ...)`` of each victim -> ``(V * T, ...)``."""
    return {name: torch.cat([tensors[name] for tensors in several]) for name in several[0]}


def _repeat(tensor: Tensor, restarts: int) -> Tensor:
    return tensor.expand(restarts, *tensor.shape).contiguous()


def _box(pixels: PixelPrior, like: Tensor) -> Tensors:
    """Bounds of pixels in normalised space, ``(C, 1, 1)``."""
    mean, std = (torch.tensor(v).to(like).reshape(-1, 1, 1) for v in (pixels.mean, pixels.std))
    return {"low": (pixels.low - mean) / std, "high": (pixels.high - mean) / std}
