from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import (
    VGG11_BN_Weights,
    VGG11_Weights,
    VGG13_Weights,
    VGG16_Weights,
    VGG19_BN_Weights,
    VGG19_Weights,
)

from fedleak.models.vgg import Vgg
from tests.models.counting import parameters

PUBLISHED = {
    (11, "none"): VGG11_Weights,
    (13, "none"): VGG13_Weights,
    (16, "none"): VGG16_Weights,
    (19, "none"): VGG19_Weights,
    (11, "batch"): VGG11_BN_Weights,
    (19, "batch"): VGG19_BN_Weights,
}


@pytest.mark.parametrize(("depth", "norm"), list(PUBLISHED))
def test_parameters_are_the_published_ones(depth: int, norm: str) -> None:
    model = Vgg.model_validate({"depth": depth, "normalisation": norm, "head": "imagenet"})
    assert parameters(model, (3, 224, 224), 1000) == PUBLISHED[depth, norm].DEFAULT.meta["num_params"]


@pytest.mark.parametrize(("depth", "count"), [(11, 9_231_114), (16, 14_728_266), (19, 20_040_522)])
def test_parameters_on_cifar(depth: int, count: int) -> None:
    assert parameters(Vgg.model_validate({"depth": depth})) == count


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_depth_counts_convolutions_and_the_three_layers_of_the_published_head(depth: int) -> None:
    network = Vgg.model_validate({"depth": depth, "width": 4}).build((3, 32, 32), 10, seed=0)
    assert sum(isinstance(m, nn.Conv2d) for m in network.modules()) == depth - 3


def test_larger_images_give_the_linear_head_more_to_read() -> None:
    network = Vgg(width=4).build((1, 64, 96), 10, seed=0).eval()
    assert network.classifier.in_features == 32 * 2 * 3  # type: ignore[union-attr]
    assert network(torch.zeros(1, 1, 64, 96)).shape == (1, 10)


def test_the_published_head_follows_the_width() -> None:
    with torch.device("meta"):
        network = Vgg(width=1, head="imagenet").module((3, 32, 32), 10).eval()
        assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_small_images_are_refused() -> None:
    with pytest.raises(ValueError, match="five pooling layers need images of 32x32, got 16x64"):
        Vgg().build((3, 16, 64), 10, seed=0)
