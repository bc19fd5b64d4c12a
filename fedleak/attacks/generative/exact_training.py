"""Training of Exact-GIT's weights, recorded epoch by epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedleak.attacks.generative.exact_network import ExactNetwork
from fedleak.attacks.generative.training import TrainingSettings, split_pairs
from fedleak.errors import AttackFailedError
from fedleak.progress import Progress
from fedleak.threat import InjectedPairs

FIRST_BATCHES = 4
"""Batches evaluated at once when only the error is computed."""


@dataclass
class ExactCourse:
    """Result of the training; entry 0 of every list is the initial state, entry ``e`` the state after epoch ``e``.

    Attributes:
        best: the weights of the epoch with the lowest held-out error.
        weights: every weight after every epoch.
        train_curve: mean squared error on the training pairs, without clamping the pixels.
        held_out_curve: mean squared error on the held-out pairs, with pixels clamped to [0, 1].
    """

    best: dict[str, Tensor]
    weights: dict[str, list[Tensor]]
    pairs: int
    held_out_pairs: int
    best_epoch: int = 0
    train_curve: list[float] = field(default_factory=list)
    held_out_curve: list[float] = field(default_factory=list)


def train_exactly(
    network: ExactNetwork,
    pairs: InjectedPairs,
    settings: TrainingSettings,
    *,
    generator: torch.Generator,
    progress: Progress,
    name: str,
) -> ExactCourse:
    """Train with Adam on the mean squared error of the images; ``network`` keeps the last epoch's weights.

    Args:
        network: on its device.
        pairs: the adversary's.
        settings: ``weight_decay`` is not used, because it would bias the estimates of the leaked weights.
        generator: for the split and the order of the pairs.

    Raises:
        AttackFailedError: if the error is not finite, or an update cannot be inverted.
    """
    training, held_out = split_pairs(len(pairs), settings.held_out, generator)
    course = ExactCourse(network.named(), {n: [] for n in network.names}, len(training), len(held_out))
    bar = progress.task(f"training {name}", settings.epochs)
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate) if network.names else None
    before = evaluate(network, pairs, training, settings.batch_size, clamp=False)
    _note(course, network, pairs, held_out, before, settings)
    for epoch in range(settings.epochs if optimiser else 0):
        order = training[torch.randperm(len(training), generator=generator).numpy()]
        total = 0.0
        for start in range(0, len(order), settings.batch_size):
            batch = order[start : start + settings.batch_size]
            loss = _loss(network, pairs, batch, clamp=False)
            if optimiser is not None:
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
            total += float(loss.detach()) * len(batch)
        _note(course, network, pairs, held_out, total / len(order), settings)
        if not math.isfinite(course.held_out_curve[-1]):
            raise AttackFailedError(f"training {name} diverged in epoch {epoch + 1}; lower the learning rate")
        bar.advance(note=f"held-out mse {course.held_out_curve[-1]:.4g}")
        if epoch + 1 - course.best_epoch >= settings.patience:
            break
    return course


def _note(
    course: ExactCourse,
    network: ExactNetwork,
    pairs: InjectedPairs,
    held_out: NDArray[np.int64],
    train_error: float,
    settings: TrainingSettings,
) -> None:
    """Record the current weights and errors."""
    now = network.named()
    for parameter, values in course.weights.items():
        values.append(now[parameter])
    course.train_curve.append(train_error)
    course.held_out_curve.append(evaluate(network, pairs, held_out, settings.batch_size, clamp=True))
    if course.held_out_curve[-1] <= min(course.held_out_curve):
        course.best, course.best_epoch = now, len(course.held_out_curve) - 1


@torch.no_grad()
def evaluate(
    network: ExactNetwork, pairs: InjectedPairs, rows: NDArray[np.int64], batch_size: int, *, clamp: bool
) -> float:
    """Mean squared error on ``rows``."""
    step = FIRST_BATCHES * batch_size
    parts = [rows[start : start + step] for start in range(0, len(rows), step)]
    return sum(float(_loss(network, pairs, part, clamp=clamp)) * len(part) for part in parts) / len(rows)


def _loss(network: ExactNetwork, pairs: InjectedPairs, rows: NDArray[np.int64], *, clamp: bool) -> Tensor:
    device = next(network.parameters(), torch.empty(0)).device
    estimate: Tensor = network(pairs.layout.unflatten(pairs.read_updates(rows).to(device)))
    estimate = estimate.clamp(0, 1) if clamp else estimate
    return (estimate[:, None] - pairs.read_images(rows).to(device)).square().mean()
