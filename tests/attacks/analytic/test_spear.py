"""Oracle: batches of digits and photographs are recovered exactly; where the theory ends, the attack says so."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from fedleak.attacks.analytic.spear import Spear, relu_layer
from fedleak.client.local_training import LocalTraining
from fedleak.data.sources.image_folder import ImageFolder
from fedleak.errors import AttackFailedError
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.threat import ModelArchitecture
from tests.attacks.inversion.builders import Victim, victim, victim_of
from tests.builders import architecture
from tests.data_folder import data_folder, needs_data

PAPER = Mlp(hidden=(200,) * 5)
"""Six layers of width 200."""


def largest_error(one: Victim, **settings: Any) -> float:
    """The largest error of a pixel after the best assignment of images."""
    found = one.attacked_by(Spear(**settings))
    errors = torch.cdist(one.images.flatten(1), found.images.flatten(1), p=torch.inf).numpy()
    largest = float(errors[linear_sum_assignment(errors)].max())
    assert found.curve["match"][0] > 0.99 or largest > 1e-3
    return largest


@pytest.mark.parametrize("count", [1, 2, 5, 10])
def test_a_batch_is_exact(count: int) -> None:
    assert largest_error(victim(PAPER, first=50, count=count, uniform=False)) < 1e-5


@pytest.mark.slow
def test_nineteen_of_twenty_batches_of_ten_are_exact() -> None:
    exact = [largest_error(victim(PAPER, first=10 * n, count=10, uniform=False)) < 1e-4 for n in range(20)]
    assert sum(exact) >= 19


@pytest.mark.slow
def test_a_batch_of_fifteen_is_exact() -> None:
    assert largest_error(victim(PAPER, count=15, uniform=False)) < 1e-4


@needs_data("cifar10")
def test_a_batch_of_photographs_is_exact() -> None:
    data = ImageFolder(root=data_folder("cifar10"), size=32, per_class=1).load().train
    leaked = architecture(PAPER, shape=(3, 32, 32))
    assert largest_error(victim_of(leaked, data.take(np.arange(8)))) < 1e-4


def test_a_delta_of_several_steps_on_the_same_images_keeps_rank_and_zeros() -> None:
    steps = LocalTraining("fedavg", batch_size=4, epochs=3, learning_rate=1e-2, train_mode=False)
    assert largest_error(victim(PAPER, count=4, training=steps, uniform=False)) < 0.01


def test_the_number_of_images_is_that_of_the_rank_if_the_client_is_silent() -> None:
    one = victim(PAPER, count=3, uniform=False)
    silent = replace(one, update=replace(one.update, samples=None))
    arguments = one.arguments(Spear()) | {"update": silent.update}
    found = Spear().reconstruct(**arguments, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found.images, one.attacked_by(Spear()).images)


def test_the_same_seed_gives_the_same_images() -> None:
    one = victim(PAPER, count=5, uniform=False)
    assert torch.equal(one.attacked_by(Spear(), seed=3).images, one.attacked_by(Spear(), seed=3).images)


@pytest.mark.parametrize(
    ("model", "count", "settings", "message"),
    [
        (LeNet(channels=4), 2, {}, "starts with Conv2d"),
        (Mlp(activation="sigmoid"), 2, {}, "needs a ReLU, and nothing else, after 1"),
        (Mlp(bias=False), 2, {}, "not with a linear layer with bias"),
        (Mlp(hidden=()), 2, {}, "needs a ReLU"),
        (Mlp(hidden=(8,)), 9, {}, r"no more images than the first layer has units \(8\)"),
        (PAPER, 6, {"largest_batch": 5}, "6 images are more than largest_batch = 5"),
        (PAPER, 10, {"samples": 1}, "fewer than 10 independent sparse columns; raise samples"),
    ],
)
def test_what_it_cannot_attack_is_refused_with_the_reason(
    model: Mlp | LeNet, count: int, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(AttackFailedError, match=message):
        victim(model, count=count, uniform=False).attacked_by(Spear(**settings))


def test_pruning_that_destroys_the_rank_is_refused() -> None:
    one = victim(PAPER, count=8, uniform=False)
    pruned = {n: torch.where(t.abs() >= t.abs().quantile(0.9), t, 0.0) for n, t in one.update.tensors.items()}
    arguments = one.arguments(Spear()) | {"update": replace(one.update, tensors=pruned)}
    with pytest.raises(AttackFailedError, match="does not have the rank of 8 different images"):
        Spear().reconstruct(**arguments, generator=torch.Generator())


def test_equal_images_hide_each_other() -> None:
    one = victim(PAPER, count=2, uniform=False)
    weight = one.update.tensors["1.weight"]
    single = torch.outer(weight[:, 20], weight[0])
    arguments = one.arguments(Spear()) | {
        "update": replace(one.update, tensors={**one.update.tensors, "1.weight": single})
    }
    with pytest.raises(AttackFailedError, match="equal images"):
        Spear().reconstruct(**arguments, generator=torch.Generator())


def test_a_search_ends_after_its_seconds() -> None:
    found = victim(PAPER, count=6, uniform=False).attacked_by(Spear(enough=1.0, seconds=1e-6))
    assert torch.isfinite(found.images).all()


class _Functional(nn.Module):
    """Flattens and rectifies by functions; with ``shortcut`` the layer's output is read twice."""

    def __init__(self, *, shortcut: bool) -> None:
        super().__init__()
        self.first, self.last, self.shortcut = nn.Linear(64, 20), nn.Linear(20, 10), shortcut

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.first(images.view(images.size(0), -1))
        on = torch.relu(hidden)
        logits: torch.Tensor = self.last(on + hidden if self.shortcut else on)
        return logits


def _functional(seed: int, *, shortcut: bool) -> nn.Module:
    return _Functional(shortcut=shortcut)


def test_functions_are_traced_and_a_shortcut_around_the_relu_is_seen() -> None:
    def leaked(*, shortcut: bool) -> ModelArchitecture:
        return ModelArchitecture(partial(_functional, shortcut=shortcut), (1, 8, 8), 10)

    assert relu_layer(leaked(shortcut=False)) == "first"
    with pytest.raises(AttackFailedError, match="it is read by relu, add"):
        relu_layer(leaked(shortcut=True))
