"""Torchvision's networks with a scaled number of channels."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torchvision.models.googlenet import BasicConv2d


def scaled_convolution(width: int, *, usual: int) -> Callable[..., nn.Module]:
    """A convolution factory for torchvision that multiplies every number of channels by ``width / usual``.

    The caller must replace the first layer, which reads the image.
    """

    def layer(incoming: int, outgoing: int, **settings: int) -> nn.Module:
        convolution: nn.Module = BasicConv2d(max(1, incoming * width // usual), outgoing * width // usual, **settings)
        return convolution

    return layer
