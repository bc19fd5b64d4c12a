from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.models.narrow import scaled_convolution


@pytest.mark.parametrize(
    ("width", "usual", "channels"),
    [(64, 64, (192, 96)), (8, 64, (24, 12)), (128, 64, (384, 192)), (1, 32, (6, 3))],
)
def test_channels_grow_with_the_width(width: int, usual: int, channels: tuple[int, int]) -> None:
    layer = scaled_convolution(width, usual=usual)(192, 96, kernel_size=3, padding=1)
    convolution = next(module for module in layer.modules() if isinstance(module, nn.Conv2d))
    assert (convolution.in_channels, convolution.out_channels) == channels
    assert (convolution.kernel_size, convolution.padding) == ((3, 3), (1, 1))
    assert layer.eval()(torch.zeros(1, channels[0], 4, 4)).shape == (1, channels[1], 4, 4)


def test_an_input_that_would_vanish_keeps_one_channel() -> None:
    layer = scaled_convolution(8, usual=64)(3, 64, kernel_size=1)
    assert next(module for module in layer.modules() if isinstance(module, nn.Conv2d)).in_channels == 1
