"""Inception-v3 architecture."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torchvision
from pydantic import Field
from torch import nn
from torchvision.models import inception
from torchvision.models.inception import BasicConv2d

from fedleak.examples import InputShape
from fedleak.models.base import Model
from fedleak.models.narrow import scaled_convolution


class InceptionV3(Model):
    """Torchvision's Inception-v3 without pretrained weights and auxiliary head (Szegedy et al. 2016, arXiv 1512.00567).

    Its eleven inception (net-in-net) blocks are ``Mixed_5b`` to ``Mixed_7c``. Weights have torch's default
    initialisation.
    """

    kind: Literal["inception_v3"] = "inception_v3"
    width: int = Field(default=32, ge=2, le=256, multiple_of=2)
    """Channels of the first convolution; all other layers scale with it."""
    stem: Literal["cifar", "imagenet"] = "cifar"
    """``cifar``: convolutions with stride 1 and no pooling before the first block; ``imagenet``: as published, for
    images of 75x75 and larger."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Dropout rate before the last layer; in training mode only."""

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """21,806,058 parameters on three channels with ten classes."""
        channels, *sides = input_shape
        needed = 75 if self.stem == "imagenet" else 9
        if min(sides) < needed:
            raise ValueError(f"the stem {self.stem} needs images of {needed}x{needed}, got {sides[0]}x{sides[1]}")
        network: nn.Module = torchvision.models.Inception3(
            num_classes=classes,
            aux_logits=False,
            init_weights=False,
            inception_blocks=self._blocks(),
            dropout=self.dropout,
        )
        if self.stem == "cifar":
            network.Conv2d_1a_3x3 = BasicConv2d(channels, self.width, kernel_size=3, padding=1)
            network.Conv2d_2a_3x3 = BasicConv2d(self.width, self.width, kernel_size=3, padding=1)
            network.maxpool1 = network.maxpool2 = nn.Identity()
        else:
            network.Conv2d_1a_3x3 = BasicConv2d(channels, self.width, kernel_size=3, stride=2)
        if self.width != 32:
            network.fc = nn.Linear(64 * self.width, classes)
        return network

    def _blocks(self) -> list[Callable[..., nn.Module]]:
        """The convolution, the blocks A to E built from it, and a placeholder for the unused auxiliary head."""
        convolution = scaled_convolution(self.width, usual=32)
        blocks = (
            inception.InceptionA,
            inception.InceptionB,
            inception.InceptionC,
            inception.InceptionD,
            inception.InceptionE,
        )
        return [convolution, *(partial(block, conv_block=convolution) for block in blocks), nn.Identity]
