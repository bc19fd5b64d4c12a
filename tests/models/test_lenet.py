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


@pytest.mark.parametrize(("kernel", "strides"), [(2, (2, 2, 1, 1)), (4, (1, 2)), (3, (3, 1)), (5, (1, 2, 2))])
@pytest.mark.parametrize("side", [8, 9, 13, 32])
def test_padding_is_same_whatever_kernel_and_strides(kernel: int, strides: tuple[int, ...], side: int) -> None:
    """Every convolution has ``ceil(side / stride)`` positions, and the linear layer takes the last map."""
    network = LeNet(kernel=kernel, strides=strides).build((3, side, side + 1), 10, seed=0)
    maps = torch.zeros(1, 3, side, side + 1)
    convolutions = [module for module in network if isinstance(module, nn.Conv2d)]  # type: ignore[attr-defined]
    for convolution, stride in zip(convolutions, strides, strict=True):
        height, width = maps.shape[2:]
        maps = convolution(maps)
        assert maps.shape[2:] == (-(-height // stride), -(-width // stride))
    assert network(torch.zeros(2, 3, side, side + 1)).shape == (2, 10)


def test_the_network_of_the_git_paper_has_five_layers() -> None:
    network = LeNet(kernel=2, strides=(2, 2, 1, 1)).build((3, 32, 32), 10, seed=0)
    weights = [tuple(parameter.shape) for parameter in network.parameters() if parameter.ndim > 1]
    assert weights == [(12, 3, 2, 2), *[(12, 12, 2, 2)] * 3, (10, 768)]


def test_what_is_not_changed_is_not_written() -> None:
    """Transcripts of DLG's network are those of versions that had no other."""
    assert not {"kernel", "strides"} & set(LeNet().model_dump())
    assert LeNet.model_validate(LeNet(kernel=2, strides=(1, 2)).model_dump(mode="json")).strides == (1, 2)


def test_there_is_no_pooling_and_no_normalisation() -> None:
    network = LeNet().build((1, 8, 8), 10, seed=0)
    assert {type(module) for module in network} == {nn.Conv2d, nn.Sigmoid, nn.Flatten, nn.Linear}  # type: ignore[attr-defined]


def test_last_bias_can_be_left_out() -> None:
    names = [name for name, _ in LeNet(last_bias=False).build((1, 8, 8), 10, seed=0).named_parameters()]
    assert names[-1].endswith("weight")
    assert sum(name.endswith("bias") for name in names) == 3
