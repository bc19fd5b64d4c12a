from __future__ import annotations

import pytest
import torch
from torchvision.models import DenseNet121_Weights, DenseNet169_Weights

from fedleak.models.densenet import DenseNet
from tests.models.counting import parameters


def test_parameters_are_the_published_ones() -> None:
    counts = [
        parameters(DenseNet(stem="imagenet", blocks=blocks), (3, 224, 224), 1000)
        for blocks in ((6, 12, 24, 16), (6, 12, 32, 32))
    ]
    assert counts == [weights.DEFAULT.meta["num_params"] for weights in (DenseNet121_Weights, DenseNet169_Weights)]


def test_parameters_on_cifar() -> None:
    assert parameters(DenseNet()) == 6_956_426


@pytest.mark.parametrize(("stem", "side"), [("cifar", 32), ("imagenet", 8)])
def test_the_cifar_stem_keeps_the_side(stem: str, side: int) -> None:
    network = DenseNet.model_validate({"stem": stem, "growth": 2, "blocks": [1, 1]}).build((1, 32, 32), 10, seed=0)
    features = network.features
    maps = features.pool0(features.relu0(features.norm0(features.conv0(torch.zeros(1, 1, 32, 32)))))  # type: ignore[operator, union-attr]
    assert maps.shape == (1, 4, side, side)


def test_small_images_are_refused() -> None:
    with pytest.raises(ValueError, match="pooling layers need images of 8x8, got 4x32"):
        DenseNet().build((3, 4, 32), 10, seed=0)
    with pytest.raises(ValueError, match="pooling layers need images of 32x32, got 16x16"):
        DenseNet(stem="imagenet").build((3, 16, 16), 10, seed=0)
