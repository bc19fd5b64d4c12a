"""Baselines: reconstructions that use no update, for comparison with attacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fedleak import seeds
from fedleak.examples import to_unit
from fedleak.progress import Task
from fedleak.results.schema import AttackSummary
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.rows import MatchedImages
from fedleak.stages.score.scorer import ImageScorer, Scores
from fedleak.stages.score.truth import Truth

Baseline = Callable[["PublicImages", Truth, torch.Generator], Tensor]
"""(public images, truth, generator) -> guesses ``(B, C, H, W)`` for the B images of the truth."""


@dataclass(frozen=True)
class PublicImages:
    """The adversary's public images ``(N, C, H, W)`` in [0, 1] and labels ``(N,)``."""

    images: Tensor
    labels: Tensor


def mean_image(public: PublicImages, truth: Truth, generator: torch.Generator) -> Tensor:
    """The mean public image: the guess with the least squared error if only the distribution is known."""
    return public.images.mean(dim=0, keepdim=True).expand_as(truth.images)


def nearest_class(public: PublicImages, truth: Truth, generator: torch.Generator) -> Tensor:
    """The public image of the true class nearest to the original: an oracle, the best that copying can achieve."""
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


BASELINES: dict[str, Baseline] = {
    "baseline_mean_image": mean_image,
    "baseline_nearest_class": nearest_class,
    "baseline_random_image": random_image,
}


def score_baselines(run: RecordedRun, *, scorer: ImageScorer, bar: Task) -> list[Scores]:
    """Score every baseline; there are none if the adversary has no public images, or nobody knows the originals."""
    if not run.reader.has_public_images or not run.scored:
        return []
    images, labels = run.reader.public()
    public = PublicImages(to_unit(images), torch.from_numpy(labels))
    found = []
    for name, guess in BASELINES.items():
        scores = scorer.score(_match_baseline(run, public, name, guess))
        summary = AttackSummary(
            attack=name,
            kind=name,
            is_baseline=True,
            description=(guess.__doc__ or "").split("\n", maxsplit=1)[0],
            images=len(scores.rows),
            metrics=scores.metrics,
            rounds=scores.rounds,
            pictures=scores.pictures,
        )
        found.append(Scores(summary, scores.rows))
        bar.advance()
    return found


def _match_baseline(run: RecordedRun, public: PublicImages, name: str, guess: Baseline) -> MatchedImages:
    matched = MatchedImages()
    for row, update in run.scored.items():
        truth = run.truth_of(update)
        generator = seeds.torch_generator(run.scenario.seed, "baseline", name, row)
        matched.add_update(attack=name, kind=name, update=update, images=guess(public, truth, generator), truth=truth)
    return matched
