"""Construction of the tensors from which the objective is computed.

Everything is repeated for each restart: every restart of every victim is one of ``T`` trials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.objective import BroadcastTensors, SearchTensors, TrialTensors
from fedleak.attacks.inversion.problem import Problem
from fedleak.attacks.replay import split_state
from fedleak.client.postprocess.base import PostProcess
from fedleak.errors import AttackFailedError
from fedleak.tensors import Tensors
from fedleak.threat import PixelPrior


def search_tensors(problem: Problem, distance: Distance, *, restarts: int, box: bool) -> SearchTensors:
    """The tensors of one victim's problem, repeated for each restart.

    Raises:
        AttackFailedError: if the update is not finite, or its scale is unknown but needed by the distance or by a
            post-processing step.
    """
    if not problem.knows_size:
        _check_direction_is_enough(problem, distance)
    known, like = problem.known, problem.like
    turn = 1.0 if problem.knows_size else -1.0
    target = {name: turn * tensor for name, tensor in known.update.tensors.items()}
    if not all(torch.isfinite(tensor).all() for tensor in target.values()):
        raise AttackFailedError("the update is not finite")
    parameters, buffers = split_state(known.architecture.build(seed=0), known.model.state)
    weights = noise_weights(problem.postprocessing, target)
    masks = {n: distance.mask(t) for n, t in target.items()} if distance.has_fixed_mask or weights else {}
    statistics = known.statistics.tensors if known.statistics is not None else {}
    return SearchTensors(
        BroadcastTensors(parameters, buffers, _box(known.pixels, like) if box else {}),
        TrialTensors(
            target={name: _repeat(tensor, restarts) for name, tensor in target.items()},
            mask={n: _repeat(mask * weights.get(n, 1.0), restarts) for n, mask in masks.items()},
            labels=_soft_labels(problem, restarts),
            consensus={},
            statistics={name: _repeat(tensor.to(like), restarts) for name, tensor in statistics.items()},
        ),
    )


def _soft_labels(problem: Problem, restarts: int) -> Tensors:
    if problem.labels is None:
        return {}
    architecture = problem.known.architecture
    soft = architecture.task.soft_targets(problem.labels, architecture.classes).to(problem.like)
    return {"soft": _repeat(soft, restarts)}


def _check_direction_is_enough(problem: Problem, distance: Distance) -> None:
    way_out = "but the update is a weight delta of unknown scale; set local_training"
    if not distance.is_scale_free:
        raise AttackFailedError(
            f"distance {distance.kind} needs a gradient of known scale, {way_out}, or use a cosine distance"
        )
    for step in problem.postprocessing:
        if step.needs_size:
            raise AttackFailedError(f"applying {step.kind} to trial updates needs their scale, {way_out}")


def side_by_side(several: Sequence[SearchTensors]) -> SearchTensors:
    """The tensors of several victims of one model, with their trials concatenated."""
    if len(several) == 1:
        return several[0]
    fields = zip(*(tensors.trials for tensors in several), strict=True)
    return several[0]._replace(trials=TrialTensors(*(stack_trials(field) for field in fields)))


def stack_trials(several: Sequence[Tensors]) -> Tensors:
    """Tensors ``(T, ...)`` of each victim -> ``(V * T, ...)``."""
    return {name: torch.cat([tensors[name] for tensors in several]) for name in several[0]}


def _repeat(tensor: Tensor, restarts: int) -> Tensor:
    return tensor.expand(restarts, *tensor.shape).contiguous()


def _box(pixels: PixelPrior, like: Tensor) -> Tensors:
    """Bounds of pixels in normalised space, ``(C, 1, 1)``."""
    mean, std = pixels.normalisation.constants(like)
    return {"low": (pixels.low - mean) / std, "high": (pixels.high - mean) / std}


def noise_weights(steps: Sequence[PostProcess], shared: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scalar factors per tensor for trial and shared update in the comparison; empty if no step adds noise.

    The factor is ``sigma^(-1/2)`` for noise of standard deviation ``sigma``, scaled to mean square one over all values.
    Squares are thus weighted by ``1 / sigma``, halfway between equal weights and the maximum-likelihood weight
    ``1 / sigma^2`` of Gaussian noise, which relies on few small tensors and was worse in most of our trials on digits.

    Args:
        steps: the client's post-processing, in order; the variances of several steps add up.
        shared: the update as shared, name -> tensor.
    """
    found = [noise for step in steps if (noise := step.noise_variance(shared))]
    names = [name for name in shared if any(name in noise for noise in found)]
    if not names:
        return {}
    variances = torch.stack([torch.stack([n[name] for n in found if name in n]).sum() for name in names])
    if not (variances > 0).any():
        return {}
    largest = float(variances.max())
    variances = torch.where(variances > 0, variances, largest) / largest  # tensors without noise get the lowest weight
    sizes = variances.new_tensor([shared[name].numel() for name in names])
    factors = variances.pow(-0.25)
    factors = factors / ((sizes * factors.square()).sum() / sizes.sum()).sqrt()
    return dict(zip(names, factors.unbind(), strict=True))
