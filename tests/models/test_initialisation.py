from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from fedleak.models.initialisation import InitialisationName, initialise
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp

FAN_IN, FAN_OUT = 200, 300
CONV_IN, CONV_OUT = 20 * 9, 40 * 9
DEVIATIONS: dict[InitialisationName, tuple[float, float]] = {
    "uniform_wide": (1 / math.sqrt(12), 1 / math.sqrt(12)),
    "kaiming": (math.sqrt(2 / FAN_IN), math.sqrt(2 / CONV_IN)),
    "xavier": (math.sqrt(2 / (FAN_IN + FAN_OUT)), math.sqrt(2 / (CONV_IN + CONV_OUT))),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(20, 40, 3), nn.BatchNorm2d(40), nn.Flatten(), nn.Linear(FAN_IN, FAN_OUT))


@pytest.mark.parametrize("name", list(DEVIATIONS))
def test_weights_have_the_published_spread(name: InitialisationName) -> None:
    layers = network()
    initialise(layers, name)
    linear, convolution = DEVIATIONS[name]
    for layer, expected in ((layers[3], linear), (layers[0], convolution)):
        assert layer.weight.mean().abs() < 0.02 * expected  # type: ignore[operator, union-attr]
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.02)  # type: ignore[operator, union-attr]


@pytest.mark.parametrize("name", list(DEVIATIONS))
def test_biases(name: InitialisationName) -> None:
    layers = network()
    initialise(layers, name)
    bias = layers[3].bias
    if name == "uniform_wide":
        assert 0.45 < bias.abs().max() <= 0.5  # type: ignore[operator, union-attr]
    else:
        assert bias.eq(0).all()  # type: ignore[operator, union-attr]


def test_normalisation_stays_and_attention_does_not() -> None:
    layers = nn.ModuleList([nn.LayerNorm(8), nn.MultiheadAttention(8, 2)])
    before = {name: tensor.clone() for name, tensor in layers.state_dict().items()}
    initialise(layers, "uniform_wide")
    changed = {name for name, tensor in layers.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {f"1.{name}" for name in ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")}


def test_default_changes_nothing() -> None:
    layers, same = network(), network()
    initialise(layers, "default")
    assert all(torch.equal(a, b) for a, b in zip(layers.parameters(), same.parameters(), strict=True))


def test_it_is_a_setting_of_models_and_depends_on_the_seed_alone() -> None:
    first, again, other = (
        LeNet(initialisation="uniform_wide").build((1, 8, 8), 10, seed=seed).get_parameter("0.weight")
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert Mlp(initialisation="xavier").build((1, 8, 8), 10, seed=1).get_parameter("1.bias").eq(0).all()
    with pytest.raises(ValidationError, match="initialisation"):
        LeNet(initialisation="wide")  # type: ignore[arg-type]
