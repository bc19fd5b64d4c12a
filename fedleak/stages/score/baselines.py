"""Reconstructions that need no update at all: what an attack has to beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fedleak.stages.score.truth import Truth


@dataclass(frozen=True)
class PublicImages:
    """The adversary's own images ``(N, C, H, W)`` in [0, 1] and labels ``(N,)``."""

    images: Tensor
    labels: Tensor


def mean_image(public: PublicImages, truth: Truth, generator: torch.Generator) -> Tensor:
    """The mean public image: the best guess, in squared error, of one who knows the distribution only."""
    return public.images.mean(dim=0, keepdim=True).expand_as(truth.images)


def nearest_class(public: PublicImages, truth: Truth, generator: torch.Generator) -> Tensor:
    """The public image of the same class nearest to the truth: an oracle's pick, the best that copying could do."""
    picks = []
    for image, label in zip(truth.images, truth.labels, strict=True):
        candidates = public.images[public.labels == label]
        if len(candidates) == 0:
            candidates = public.images
        distance = (candidates - image).square().flatten(1).mean(dim=1)
        picks.append(candidates[distance.argmin()])
    return torch.stack(picks)


def random_image(public: PublicImages, truth: Truth, generator: torch.Generator) -> Tensor:
    """Public images drawn at random."""
    return public.images[torch.randint(len(public.images), (len(truth.images),), generator=generator)]


BASELINES: dict[str, Callable[[PublicImages, Truth, torch.Generator], Tensor]] = {
    "baseline_mean_image": mean_image,
    "baseline_nearest_class": nearest_class,
    "baseline_random_image": random_image,
}
