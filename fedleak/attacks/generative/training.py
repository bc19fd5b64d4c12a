"""Training of a generator on injected pairs, with early stopping on held-out pairs of the adversary."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from fedleak import limits
from fedleak.attacks.generative.feature_table import FeatureTable
from fedleak.attacks.generative.versions import VersionedFeatures
from fedleak.attacks.matching import permutation_invariant_mse
from fedleak.component import Settings
from fedleak.errors import AttackFailedError
from fedleak.progress import Progress
from fedleak.threat import InjectedPairs


class TrainingSettings(Settings):
    """Settings for training a generator."""

    epochs: int = Field(default=60, ge=1, le=limits.EPOCHS)
    """Maximum number of epochs; early stopping may end sooner."""
    batch_size: int = Field(default=128, ge=1, le=limits.IMAGES)
    """Pairs per step."""
    learning_rate: float = Field(default=1e-3, gt=0, le=limits.RATE)
    """Peak learning rate of the schedule (AdamW)."""
    schedule: Literal["one_cycle", "step"] = Field(default="one_cycle", exclude_if=lambda value: value == "one_cycle")
    """``step``: constant for three quarters of the epochs, then a tenth."""
    clip: float | None = Field(default=1.0, gt=0, le=limits.RATE, exclude_if=lambda value: value == 1.0)
    """Largest norm of the gradient of a step; ``null``: any."""
    weight_decay: float = Field(default=1e-4, ge=0, le=limits.RATE)
    """Weight decay of the optimiser."""
    held_out: float = Field(default=0.1, gt=0, lt=1)
    """Fraction of the pairs held out for early stopping."""
    patience: int = Field(default=12, ge=1, le=limits.EPOCHS)
    """Epochs without a better held-out loss before stopping."""


@dataclass(frozen=True)
class TrainingOutcome:
    """The best generator by held-out loss, and both learning curves (mean squared error per epoch)."""

    generator: nn.Module
    train_curve: list[float]
    held_out_curve: list[float]
    best_epoch: int


def split_pairs(count: int, held_out: float, generator: torch.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Random training and held-out row numbers, both sorted."""
    order = torch.randperm(count, generator=generator).numpy()
    kept = max(1, round(held_out * count))
    if kept >= count:
        raise AttackFailedError(f"{count} injected pairs are too few to hold out {held_out:.0%}")
    return np.sort(order[kept:]), np.sort(order[:kept])


def train_generator(
    network: nn.Module,
    pairs: InjectedPairs,
    features: VersionedFeatures,
    rows: tuple[NDArray[np.int64], NDArray[np.int64]],
    settings: TrainingSettings,
    *,
    generator: torch.Generator,
    progress: Progress,
    name: str,
) -> TrainingOutcome:
    """Minimise the permutation-invariant mean squared error on the training rows.

    Args:
        network: features ``(n, F)`` -> images ``(n, B, C, H, W)``; trained in place, on its own device.
        pairs, features: the data and the map from updates to features.
        rows: training and held-out row numbers.
        generator: for the order of the pairs.

    Raises:
        AttackFailedError: if the loss is not finite.
    """
    device = next(network.parameters()).device
    table = FeatureTable(pairs, features)
    training, held_out = rows
    steps = math.ceil(len(training) / settings.batch_size)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    schedule = _schedule(optimiser, settings, steps)
    bar = progress.task(f"training {name}", settings.epochs)
    train_curve: list[float] = []
    held_out_curve: list[float] = []
    best: dict[str, Tensor] = {}
    best_epoch = 0
    for epoch in range(settings.epochs):
        network.train()
        order = training[torch.randperm(len(training), generator=generator).numpy()]
        total = 0.0
        for start in range(0, len(order), settings.batch_size):
            batch = order[start : start + settings.batch_size]
            images = pairs.read_images(batch).to(device)
            loss = permutation_invariant_mse(network(table.read(batch).to(device)), images)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if settings.clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(batch)
        train_curve.append(total / len(order))
        held_out_curve.append(evaluate(network, pairs, table, held_out, settings.batch_size))
        if not math.isfinite(held_out_curve[-1]):
            raise AttackFailedError(f"training {name} diverged in epoch {epoch + 1}; lower the learning rate")
        bar.advance(note=f"held-out mse {held_out_curve[-1]:.4f}")
        if held_out_curve[-1] <= min(held_out_curve):
            best, best_epoch = copy.deepcopy(network.state_dict()), epoch + 1
        elif epoch + 1 - best_epoch >= settings.patience:
            bar.advance(settings.epochs - epoch - 1)
            break
    network.load_state_dict(best)
    return TrainingOutcome(network.eval(), train_curve, held_out_curve, best_epoch)


def _schedule(
    optimiser: torch.optim.Optimizer, settings: TrainingSettings, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate of each of ``steps`` in an epoch."""
    if settings.schedule == "step":
        late = int(0.75 * settings.epochs) * steps
        return torch.optim.lr_scheduler.MultiStepLR(optimiser, [late], gamma=0.1)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=steps * settings.epochs, pct_start=0.15
    )


@torch.no_grad()
def evaluate(
    network: nn.Module, pairs: InjectedPairs, table: FeatureTable, rows: NDArray[np.int64], batch_size: int
) -> float:
    """Mean squared error on ``rows`` under the best order within each batch."""
    network.eval()
    device = next(network.parameters()).device
    total = 0.0
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        images = pairs.read_images(batch).to(device)
        total += float(permutation_invariant_mse(network(table.read(batch).to(device)), images)) * len(batch)
    return total / len(rows)
