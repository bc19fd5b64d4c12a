from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fedleak.client.local_sgd import LocalSgd
from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.metrics.theory.base import NotApplicableError
from fedleak.metrics.theory.local_drift import LocalDrift, shrinkage
from fedleak.transcript.manifest import TrainingRecord

RATE, SIDE = 0.02, 4
DRAWS = torch.Generator()


def training(steps: int, **changes: Any) -> TrainingRecord:
    settings = {"local_learning_rate": RATE, "local_epochs": steps, "batch_size": 1, "samples": None}
    return TrainingRecord(**{**settings, "batch_norm": "eval", "postprocess": (), **changes})


def batch(*, images: int = 1, bias: bool = False, label: int = 1, seed: int = 0) -> LeakedBatch:
    draws = torch.Generator().manual_seed(seed)
    layer = nn.Linear(SIDE * SIDE, 2, bias=bias)
    with torch.no_grad():
        layer.weight.copy_(0.2 * torch.randn(2, SIDE * SIDE, generator=draws))
    drawn = torch.rand(images, 1, SIDE, SIDE, generator=draws, dtype=torch.float64)
    labels = torch.full((images,), label)
    return LeakedBatch(nn.Sequential(nn.Flatten(), layer).double(), drawn, labels, mean=(0.5,), std=(0.25,))


def mean_gradient(leaked: LeakedBatch, steps: int) -> torch.Tensor:
    """Of K steps of gradient descent, by automatic differentiation."""
    weight, total = next(leaked.module.parameters()).detach().clone(), torch.zeros(2, SIDE * SIDE, dtype=torch.float64)
    image = leaked.normalised(leaked.images).flatten(1)
    for _ in range(steps):
        weight.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(image @ weight.T, leaked.labels), weight)
        weight, total = (weight - RATE * gradient).detach(), total + gradient
    return total / steps


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("steps", [1, 2, 7, 30])
def test_the_gradient_at_the_drifted_image_is_the_mean_of_the_local_ones(steps: int, label: int) -> None:
    leaked = batch(label=label)
    drifted = LocalDrift().predict(leaked, training(steps), generator=DRAWS).images
    weight = next(leaked.module.parameters()).detach().clone().requires_grad_()
    logits = leaked.normalised(drifted).flatten(1) @ weight.T
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, leaked.labels), weight)
    torch.testing.assert_close(gradient, mean_gradient(leaked, steps))


def test_one_step_has_no_drift_and_further_steps_have_more() -> None:
    factors = [LocalDrift().predict(batch(), training(k), generator=DRAWS).metrics["shrinkage"] for k in (1, 2, 4, 8)]
    assert factors[0] == 1
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] < 0.99


def test_by_hand_at_margin_zero() -> None:
    """m0 = 0, eta ||x||^2 = 0.1: slopes 1/2 and sigmoid(-0.1); with m0 = 0 the left side is s/2."""
    expected = 0.5 + 1 / (1 + math.exp(0.1))
    assert shrinkage(0.0, 10.0, rate=0.01, steps=2) == pytest.approx(expected)


def test_settings_of_plain_gradient_descent_are_no_other_optimiser() -> None:
    plain = training(2, local_sgd=LocalSgd().model_dump(mode="json"))
    assert LocalDrift().predict(batch(), plain, generator=DRAWS).metrics["shrinkage"] < 1


@pytest.mark.parametrize(
    ("leaked", "changes", "reason"),
    [
        (batch(images=2), {}, "one image"),
        (batch(bias=True), {}, "without a bias"),
        (batch(), {"local_sgd": {"momentum": 0.9}}, "plain gradient descent"),
        (batch(), {"local_optimizer": {"kind": "adam"}}, "plain gradient descent"),
        (batch(), {"proximal_mu": 0.1}, "plain gradient descent"),
        (batch(), {"postprocess": ({"kind": "sign_sgd"},)}, "without post-processing"),
    ],
)
def test_it_says_of_what_it_does_not_speak(leaked: LeakedBatch, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotApplicableError, match=reason):
        LocalDrift().predict(leaked, training(2, **changes), generator=DRAWS)


@pytest.mark.parametrize("steps", [1, 3])
def test_beyond_the_turn_the_smaller_of_two_solutions_is_named(steps: int) -> None:
    """By a fine grid: the first place where ``s sigmoid(-2 s)`` reaches the mean slope."""
    slopes, margin = [], 2.0
    for _ in range(steps):
        slopes.append(1 / (1 + math.exp(margin)))
        margin += 2 * 0.1 * slopes[-1] * 1.0
    grid = torch.linspace(0, 1, 1_000_001, dtype=torch.float64)
    first = int((grid * torch.sigmoid(-2 * grid) >= sum(slopes) / steps).int().argmax())
    assert shrinkage(2.0, 1.0, rate=0.1, steps=steps) == pytest.approx(float(grid[first]), abs=2e-6)
    assert float(grid[first]) < 0.7
