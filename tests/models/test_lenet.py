from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.models.lenet import LeNet


def test_parameter_count_on_cifar_is_the_literatures() -> None:
    network = LeNet().build((3, 32, 32), 10, seed=0)
    assert sum(p.numel() for p in network.parameters()) == 15_826


@pytest.mark.parametrize("side", [8, 9, 28, 32, 64])
def test_strides_two_two_one_quarter_the_image(side: int) -> None:
    network = LeNet().build((3, side, side), 10, seed=0)
    assert network[:-2](torch.zeros(1, 3, side, side)).shape == (1, 12, -(-side // 4), -(-side // 4))  # type: ignore[index]


def test_there_is_no_pooling_and_no_normalisation() -> None:
    network = LeNet().build((1, 8, 8), 10, seed=0)
    assert {type(module) for module in network} == {nn.Conv2d, nn.Sigmoid, nn.Flatten, nn.Linear}  # type: ignore[attr-defined]


def test_last_bias_can_be_left_out() -> None:
    names = [name for name, _ in LeNet(last_bias=False).build((1, 8, 8), 10, seed=0).named_parameters()]
    assert names[-1].endswith("weight")
    assert sum(name.endswith("bias") for name in names) == 3
