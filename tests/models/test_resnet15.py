from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.models.norms import NormName
from fedleak.models.resnet15 import Block, ResNet15

NORMS: tuple[NormName, ...] = ("none", "batch", "group")


@pytest.mark.parametrize(("name", "count"), [("none", 308_106), ("batch", 308_826), ("group", 308_826)])
def test_parameters_on_cifar(name: NormName, count: int) -> None:
    network = ResNet15(normalisation=name).build((3, 32, 32), 10, seed=0)
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize("name", NORMS)
def test_fifteen_layers_of_the_paper(name: NormName) -> None:
    """Stem, eight convolutions, three 1x1 skips and one identity, pooling, linear layer."""
    network = ResNet15(normalisation=name).build((3, 32, 32), 10, seed=0)
    kernels = [m.kernel_size[0] for m in network.modules() if isinstance(m, nn.Conv2d)]
    blocks = [m for m in network.modules() if isinstance(m, Block)]
    assert kernels.count(3) == 1 + 8
    assert kernels.count(1) == 3
    assert [block.skip is None for block in blocks] == [True, False, False, False]
    assert sum(isinstance(m, nn.AdaptiveAvgPool2d | nn.Linear) for m in network.modules()) == 2


def test_a_block_equals_the_formula() -> None:
    torch.manual_seed(0)
    block = Block(2, 3, 2, "none")
    x = torch.randn(4, 2, 6, 6)
    first, second = block.residual[0], block.residual[2]
    assert block.skip is not None
    torch.testing.assert_close(block(x), torch.relu(second(torch.relu(first(x))) + block.skip(x)))


def test_the_second_to_fourth_block_halve_the_side() -> None:
    network = ResNet15().build((3, 32, 32), 10, seed=0).eval()
    assert network[:-3](torch.zeros(1, 3, 32, 32)).shape == (1, 128, 4, 4)  # type: ignore[index]
