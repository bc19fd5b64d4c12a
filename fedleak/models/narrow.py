"""Torchvision's networks with other numbers of channels."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torchvision.models.googlenet import BasicConv2d


def scaled_convolution(width: int, *, usual: int) -> Callable[..., nn.Module]:
    """What to give torchvision as convolution, so that every number of channels is multiplied by ``width / usual``.

    The first layer, which reads the image, is left to the caller.
    """

    def layer(incoming: int, outgoing: int, **settings: int) -> nn.Module:
        convolution: nn.Module = BasicConv2d(max(1, incoming * width // usual), outgoing * width // usual, **settings)
        return convolution

    return layer
