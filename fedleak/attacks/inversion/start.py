"""Initialisation of a search: noise, grey, or the reconstructions of another attack."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from fedleak.attacks.inversion.decoders import Decoder
from fedleak.attacks.inversion.objective import Objective, SearchTensors
from fedleak.attacks.inversion.problem import Problem
from fedleak.errors import AttackFailedError
from fedleak.threat import PixelPrior, StartingImages

SWEEPS = 3
"""Largest number of passes over all pairs of images when swapping them to fit the order of the labels."""

Losses = Callable[[Tensor], Tensor]
"""One candidate ``(1, B, C, H, W)`` -> its matching loss ``(1,)``."""


def noise_start(kind: str, shape: tuple[int, ...], pixels: PixelPrior, generator: torch.Generator) -> Tensor:
    """Variables ``(T, B, C, h, w)`` in normalised space: ``normal``, ``uniform`` in (-1, 1) or ``grey``."""
    if kind == "normal":
        return torch.randn(shape, generator=generator)
    if kind == "uniform":
        return 2 * torch.rand(shape, generator=generator) - 1
    return pixels.normalisation.apply(torch.full(shape, 0.5))


def normalised(start: StartingImages, samples: int, pixels: PixelPrior) -> Tensor:
    """The images ``(B, C, H, W)`` in normalised space.

    Raises:
        AttackFailedError: if there are not ``samples`` of them.
    """
    if len(start.images) != samples:
        raise AttackFailedError(f"{start.attack} gives {len(start.images)} images to start from, not {samples}")
    return pixels.normalisation.apply(start.images)


def by_labels(images: Tensor, own: Tensor, labels: Tensor) -> Tensor:
    """``images`` ``(B, ...)`` of guessed classes ``own`` ``(B,)``, in the order that fits ``labels`` ``(B,)`` best."""
    disagree = (labels.cpu()[:, None] != own.cpu()[None, :]).to(torch.float32)
    _, order = linear_sum_assignment(disagree.numpy())
    return images[torch.from_numpy(order).to(images.device)]


def by_matching(images: Tensor, labels: Tensor, losses: Losses) -> Tensor:
    """``images`` ``(B, C, H, W)`` in the order that matches the update best, found by swapping pairs.

    Image ``i`` is assigned class ``labels[i]``; the matching loss decides whether that fits. A swap that lowers the
    loss is kept; the search stops after a sweep without an improvement.
    """
    count, order = len(labels), torch.arange(len(labels))
    exchanges = [(i, j) for i in range(count) for j in range(i) if int(labels[i]) != int(labels[j])]
    lowest, before = float(losses(images[None])), math.inf
    for _ in range(SWEEPS):
        if lowest >= before:
            break
        before = lowest
        for first, second in exchanges:
            changed = _exchanged(order, first, second)
            found = float(losses(images[changed][None]))
            if found < lowest:
                order, lowest = changed, found
    return images[order]


def _exchanged(order: Tensor, first: int, second: int) -> Tensor:
    changed = order.clone()
    changed[[first, second]] = order[[second, first]]
    return changed


def ordered_images(problem: Problem, source: str, losses: Losses) -> Tensor:
    """Another attack's images in normalised space, ``(B, C, H, W)``, image ``i`` of class ``labels[i]``.

    Args:
        source: name of the other attack, for the message.

    Raises:
        AttackFailedError: if there are no images, or their number does not match the update.
    """
    start = problem.known.start
    if start is None:
        raise AttackFailedError(f"{source} has no images to start from")
    images = normalised(start, problem.samples, problem.known.pixels)
    if problem.labels is None or problem.samples == 1:
        return images
    if start.labels is not None:
        images = by_labels(images, start.labels, problem.labels)
    return by_matching(images, problem.labels, losses)


def matching_loss(objective: Objective, decoder: Decoder, tensors: SearchTensors, images: Tensor) -> Tensor:
    """Matching loss ``(1,)`` of one candidate ``(1, B, C, H, W)``."""
    matching, _ = objective.over_trials({"code": decoder.encode(images[0])[None]}, tensors)
    return matching


def perturbed(problem: Problem, code: Tensor, noise: float, restarts: int, generator: torch.Generator) -> Tensor:
    """One start ``(B, C, h, w)`` -> ``(T, B, C, h, w)``: the first trial unchanged, the others with Gaussian noise.

    Args:
        noise: standard deviation, for pixels in [0, 1].
    """
    _, std = problem.known.pixels.normalisation.constants(code)
    others = code + noise / std * torch.randn((restarts - 1, *code.shape), generator=generator).to(code)
    return torch.cat([code[None], others])
