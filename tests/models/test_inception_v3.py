from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import Inception_V3_Weights

from fedleak.models.inception_v3 import InceptionV3
from tests.models.counting import parameters

SIDE_HEAD = 3_326_696
BLOCKS = ["5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"]


def test_parameters_are_the_published_ones() -> None:
    count = parameters(InceptionV3(stem="imagenet"), (3, 299, 299), 1000)
    assert count == Inception_V3_Weights.DEFAULT.meta["num_params"] - SIDE_HEAD
    assert parameters(InceptionV3()) == 21_806_058


def test_width_scales_every_layer_and_the_blocks_keep_their_names() -> None:
    with torch.device("meta"):
        full = InceptionV3().module((1, 16, 16), 10)
    narrow = InceptionV3(width=2).build((1, 16, 16), 10, seed=0).eval()
    assert [f"Mixed_{name}" for name in BLOCKS] == [n for n, _ in narrow.named_children() if "Mixed" in n]
    channels = [[m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)] for net in (full, narrow)]
    assert channels[0] == [16 * count for count in channels[1]]
    assert narrow(torch.zeros(2, 1, 16, 16)).shape == (2, 10)


@pytest.mark.parametrize(("stem", "shape"), [("cifar", (1, 12, 30, 30)), ("imagenet", (1, 12, 7, 7))])
def test_the_cifar_stem_keeps_the_side(stem: str, shape: tuple[int, ...]) -> None:
    side = 32 if stem == "cifar" else 80
    network = InceptionV3.model_validate({"stem": stem, "width": 2}).build((3, side, side), 10, seed=0).eval()
    shapes: list[torch.Size] = []
    network.get_submodule("Mixed_5b").register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].shape))
    network(torch.zeros(1, 3, side, side))
    assert shapes == [shape]


@pytest.mark.parametrize(("stem", "needed"), [("cifar", 9), ("imagenet", 75)])
def test_it_reads_the_smallest_images_that_it_does_not_refuse(stem: str, needed: int) -> None:
    model = InceptionV3.model_validate({"stem": stem, "width": 2})
    network = model.build((3, needed, needed), 10, seed=0).eval()
    assert network(torch.zeros(1, 3, needed, needed)).shape == (1, 10)
    with pytest.raises(ValueError, match=f"needs images of {needed}x{needed}, got 100x{needed - 1}"):
        model.build((3, 100, needed - 1), 10, seed=0)
