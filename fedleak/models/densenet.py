"""DenseNet architectures."""

from __future__ import annotations

from typing import Annotated, Literal

import torchvision
from pydantic import Field
from torch import nn

from fedleak.examples import InputShape
from fedleak.models.base import Model

Blocks = Annotated[tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1, max_length=4)]


class DenseNet(Model):
    """Torchvision's DenseNet without pretrained weights (Huang et al. 2017, arXiv 1608.06993); DenseNet-121 by default.

    DenseNet-43 and DenseNet-53 of the ShortNet paper are built differently: see ``shortnet``.
    """

    kind: Literal["densenet"] = "densenet"
    blocks: Blocks = (6, 12, 24, 16)
    """Layers of each dense block: (6, 12, 32, 32) is DenseNet-169."""
    growth: int = Field(default=32, ge=1, le=256)
    """Channels that each layer adds; the first convolution has twice as many."""
    stem: Literal["cifar", "imagenet"] = "cifar"
    """``cifar``: a 3x3 convolution with stride 1 and no pooling; ``imagenet``: 7x7, stride 2, max-pooling."""

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """6,956,426 parameters on three channels with ten classes and the stem ``cifar``."""
        channels, *sides = input_shape
        needed = 2 ** (len(self.blocks) - 1) * (1 if self.stem == "cifar" else 4)
        if min(sides) < needed:
            raise ValueError(f"pooling layers need images of {needed}x{needed}, got {sides[0]}x{sides[1]}")
        width = 2 * self.growth
        network: nn.Module = torchvision.models.DenseNet(self.growth, self.blocks, width, num_classes=classes)
        features = network.get_submodule("features")
        if self.stem == "cifar":
            features.conv0 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            features.pool0 = nn.Identity()
        else:
            features.conv0 = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(features.conv0.weight)  # as torchvision's own
        return network
