from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.models.resnet18 import ResNet18


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_parameters_are_the_literatures() -> None:
    assert parameters(ResNet18().build((3, 32, 32), 10, seed=0)) == 11_173_962
    assert parameters(ResNet18(stem="imagenet").build((3, 224, 224), 1000, seed=0)) == 11_689_512


@pytest.mark.parametrize(("stem", "side"), [("cifar", 32), ("imagenet", 8)])
def test_the_cifar_stem_keeps_the_side(stem: str, side: int) -> None:
    network = ResNet18.model_validate({"stem": stem}).build((3, 32, 32), 10, seed=0).eval()
    maps = network.maxpool(network.relu(network.bn1(network.conv1(torch.zeros(1, 3, 32, 32)))))  # type: ignore[operator]
    assert maps.shape == (1, 64, side, side)


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_grey_images_are_taken(stem: str) -> None:
    network = ResNet18.model_validate({"stem": stem}).build((1, 32, 32), 10, seed=0).eval()
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 10)


def test_normalisation_can_be_left_out_or_grouped() -> None:
    for name, kind in (("none", nn.Identity), ("group", nn.GroupNorm), ("batch", nn.BatchNorm2d)):
        network = ResNet18.model_validate({"normalisation": name}).build((3, 32, 32), 10, seed=0)
        assert isinstance(network.bn1, kind)
        assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == (20 if name == "batch" else 0)
