from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fedleak.attacks.analytic.april import April, first_attention, normalisations
from fedleak.attacks.layers.tracing import trace_layers
from fedleak.client.local_training import LocalTraining
from fedleak.errors import AttackFailedError
from fedleak.models.lenet import LeNet
from fedleak.models.vit import ViT
from tests.attacks.inversion.builders import Victim, victim

VIT = ViT(patch=2, width=32, mlp_width=32, blocks=2, design="plain")
DOUBLE = VIT.model_copy(update={"precision": "float64"})


def training(protocol: str) -> LocalTraining:
    return LocalTraining(protocol, batch_size=1, epochs=1, learning_rate=0.1, train_mode=False)


def error(one: Victim) -> float:
    return float((one.attacked_by(April()).images - one.images).square().mean())


@pytest.mark.parametrize("first", range(4))
def test_one_image_is_exact(first: int) -> None:
    one = victim(DOUBLE, first=first, uniform=False)
    np.testing.assert_allclose(one.attacked_by(April()).images, one.images, atol=1e-3)


@pytest.mark.parametrize("first", range(4))
def test_single_precision_costs_little(first: int) -> None:
    assert error(victim(VIT, first=first, uniform=False)) < 1e-3


def test_the_scale_of_a_weight_delta_cancels() -> None:
    assert error(victim(DOUBLE, training=training("fedavg"), uniform=False)) < 1e-3


def test_a_batch_gives_as_many_images() -> None:
    assert victim(VIT, count=3, uniform=False).attacked_by(April()).images.shape == (3, 1, 8, 8)


def test_the_attention_is_found_only_where_nothing_comes_between() -> None:
    networks = [ViT(patch=2, width=32, blocks=1, design=d).build((1, 8, 8), 10, seed=0) for d in ("plain", "usual")]
    plain, usual = ((trace_layers(network, (1, 8, 8)), normalisations(network)) for network in networks)
    found = first_attention(*plain)
    assert found is not None
    assert found.name == "encoder.layers.encoder_layer_0.self_attention"
    assert first_attention(*usual) is None


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (ViT(patch=2, width=32, mlp_width=8, blocks=1), "without layer norm or shortcut"),
        (LeNet(channels=4), "without layer norm or shortcut"),
        (ViT(patch=2, width=16, mlp_width=8, blocks=2, design="plain"), "17 tokens need at least as many values"),
        (ViT(patch=8, width=32, mlp_width=8, blocks=2, design="plain"), "patches of 64 values need tokens of as many"),
    ],
)
def test_what_cannot_be_solved_is_a_failed_attack(model: ViT | LeNet, reason: str) -> None:
    with pytest.raises(AttackFailedError, match=reason):
        victim(model, uniform=False).attacked_by(April())


@pytest.mark.parametrize("value", [0.0, torch.nan])
def test_an_update_without_information_is_a_failed_attack(value: float) -> None:
    one = victim(VIT, uniform=False)
    name = "encoder.layers.encoder_layer_0.self_attention.in_proj_weight"
    tensors = {**one.update.tensors, name: torch.full_like(one.update.tensors[name], value)}
    with pytest.raises(AttackFailedError, match="zero or not finite"):
        replace(one, update=replace(one.update, tensors=tensors)).attacked_by(April())
