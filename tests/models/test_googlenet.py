from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import GoogLeNet_Weights

from fedleak.models.googlenet import GoogLeNet
from tests.models.counting import parameters

BLOCKS = ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]


def test_parameters_are_the_published_ones() -> None:
    count = parameters(GoogLeNet(stem="imagenet"), (3, 224, 224), 1000)
    assert count == GoogLeNet_Weights.DEFAULT.meta["num_params"]
    assert parameters(GoogLeNet()) == 5_602_474


def test_width_scales_every_layer_and_the_blocks_keep_their_names() -> None:
    full, narrow = (GoogLeNet(width=width).build((1, 8, 8), 10, seed=0).eval() for width in (64, 8))
    assert [f"inception{name}" for name in BLOCKS] == [n for n, _ in narrow.named_children() if "inception" in n]
    channels = [[m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)] for net in (full, narrow)]
    assert channels[0] == [8 * count for count in channels[1]]
    assert narrow(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(("stem", "side"), [("cifar", 32), ("imagenet", 4)])
def test_the_cifar_stem_keeps_the_side(stem: str, side: int) -> None:
    network = GoogLeNet.model_validate({"stem": stem, "width": 8}).build((3, 32, 32), 10, seed=0).eval()
    shapes: list[torch.Size] = []
    network.get_submodule("inception3a").register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].shape))
    network(torch.zeros(1, 3, 32, 32))
    assert shapes == [(1, 24, side, side)]


def test_a_new_network_lets_gradients_through_to_its_first_layer() -> None:
    network = GoogLeNet().build((3, 16, 16), 10, seed=0).eval()
    network(torch.randn(1, 3, 16, 16)).logsumexp(dim=1).sum().backward()
    assert network.conv1.conv.weight.grad.abs().max() > 1e-12  # type: ignore[union-attr]
