from __future__ import annotations

import pytest
from torch import nn

from fedleak.models.convnet import ConvNet
from fedleak.models.front import first_relu_layer, last_linear_layer
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp


def test_a_perceptron_begins_with_a_linear_layer_and_a_relu() -> None:
    assert first_relu_layer(Mlp().build((1, 4, 4), 10, seed=0)) == "1"


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (LeNet(channels=2).build((1, 8, 8), 10, seed=0), "begins with Conv2d"),
        (Mlp(bias=False).build((1, 4, 4), 10, seed=0), "begins with Linear without bias"),
        (Mlp(activation="sigmoid").build((1, 4, 4), 10, seed=0), "1, the network has Sigmoid, not a ReLU"),
        (Mlp(hidden=()).build((1, 4, 4), 10, seed=0), "1, the network has nothing, not a ReLU"),
    ],
)
def test_others_are_refused_with_what_they_begin_with(network: nn.Module, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        first_relu_layer(network)


def test_the_last_layer_is_linear_with_one_row_per_class() -> None:
    assert last_linear_layer(LeNet(channels=2).build((1, 8, 8), 10, seed=0), outputs=10) == "7"
    assert last_linear_layer(ConvNet(widths=(4,)).build((1, 8, 8), 10, seed=0), outputs=10)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten()), "ends with Conv2d"),
        (Mlp(bias=False).build((1, 4, 4), 10, seed=0), "ends with Linear without bias"),
        (nn.Linear(3, 4), "ends with Linear of 4 outputs"),
    ],
)
def test_others_are_refused_with_what_they_end_with(network: nn.Module, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        last_linear_layer(network, outputs=10)
