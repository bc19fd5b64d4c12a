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
    with pytest.raises(ValueError, match="3 poolings need images of 8x, got 7x32"):
        ConvNet().build((3, 7, 32), 10, seed=0)
