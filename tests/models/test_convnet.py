from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.models.convnet import ConvNet


def test_every_block_halves_the_image() -> None:
    network = ConvNet(widths=(4, 5, 6)).build((3, 32, 48), 7, seed=0)
    assert network[:-2](torch.zeros(2, 3, 32, 48)).shape == (2, 6, 4, 6)  # type: ignore[index]
    assert network(torch.zeros(2, 3, 32, 48)).shape == (2, 7)


@pytest.mark.parametrize(("setting", "count"), [("batch", 3), ("none", 0)])
def test_normalisation_follows_every_convolution_or_none(setting: str, count: int) -> None:
    network = ConvNet.model_validate({"normalisation": setting}).build((3, 8, 8), 10, seed=0)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == count


def test_images_too_small_for_the_poolings_are_refused() -> None:
    with pytest.raises(ValueError, match="images of 7x32 are too small for block 3"):
        ConvNet().build((3, 7, 32), 10, seed=0)


def layers(**settings: object) -> list[nn.Module]:
    network = ConvNet.model_validate({"widths": [4, 6], "normalisation": "none"} | settings).build(
        (3, 16, 16), 5, seed=0
    )
    return list(network.children())


def test_layers_come_in_the_usual_order() -> None:
    kinds = [type(layer) for layer in layers(normalisation="group", dropout=0.5)]
    block = [nn.Conv2d, nn.GroupNorm, nn.ReLU, nn.MaxPool2d]
    assert kinds == [*block, *block, nn.Flatten, nn.Dropout, nn.Linear]


@pytest.mark.parametrize(
    ("setting", "kind", "count"), [("max", nn.MaxPool2d, 2), ("average", nn.AvgPool2d, 2), ("none", nn.MaxPool2d, 0)]
)
def test_poolings(setting: str, kind: type[nn.Module], count: int) -> None:
    assert sum(isinstance(layer, kind) for layer in layers(pooling=setting)) == count


def test_pooling_may_come_after_every_other_block_only() -> None:
    kinds = [type(layer).__name__ for layer in layers(widths=[4, 4, 4, 4], pool_every=2)]
    block = ["Conv2d", "ReLU"]
    assert kinds == [*block, *block, "MaxPool2d", *block, *block, "MaxPool2d", "Flatten", "Linear"]


def test_without_bias_no_layer_has_one() -> None:
    assert all(layer.bias is None for layer in layers(bias=False) if isinstance(layer, nn.Conv2d | nn.Linear))


@pytest.mark.parametrize(
    ("kernel", "padding", "side"), [(3, 1, 16), (5, 1, 12), (2, 1, 18), (1, 1, 20), (3, 3, 24), (3, 0, 12)]
)
def test_kernel_and_padding_change_the_side_of_maps(kernel: int, padding: int, side: int) -> None:
    *features, _, last = layers(kernel=kernel, padding=padding, pooling="none")
    assert nn.Sequential(*features)(torch.zeros(1, 3, 16, 16)).shape == (1, 6, side, side)
    assert isinstance(last, nn.Linear)
    assert last.in_features == 6 * side * side


def test_padding_does_not_hide_the_shape_of_the_last_maps() -> None:
    network = ConvNet(widths=(4,), padding=0, pool_every=3).build((1, 5, 9), 2, seed=0)
    assert network(torch.zeros(1, 1, 5, 9)).shape == (1, 2)
