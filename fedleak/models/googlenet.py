"""GoogLeNet architecture."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torchvision
from pydantic import Field
from torch import nn
from torchvision.models.googlenet import BasicConv2d, Inception

from fedleak.examples import InputShape
from fedleak.models.base import Model
from fedleak.models.narrow import scaled_convolution


class GoogLeNet(Model):
    """Torchvision's GoogLeNet without pretrained weights and auxiliary heads (Szegedy et al. 2015, arXiv 1409.4842).

    Its nine inception (net-in-net) blocks are ``inception3a`` to ``inception5b``; as in torchvision, their third branch
    has a 3x3 convolution where the paper has 5x5. Weights have torch's default initialisation: with torchvision's own
    (std 0.01), gradients almost vanish before the normalisation layers have seen data.
    """

    kind: Literal["googlenet"] = "googlenet"
    width: int = Field(default=64, ge=8, le=512, multiple_of=8)
    """Channels of the first convolution; all other layers scale with it."""
    stem: Literal["cifar", "imagenet"] = "cifar"
    """``cifar``: a 3x3 convolution with stride 1 and no pooling before the first block; ``imagenet``: 7x7, stride 2,
    two max-poolings."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout rate before the last layer; in training mode only."""

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """5,602,474 parameters on three channels with ten classes and the stem ``cifar``."""
        convolution = scaled_convolution(self.width, usual=64)
        network: nn.Module = torchvision.models.GoogLeNet(
            num_classes=classes,
            aux_logits=False,
            init_weights=False,
            blocks=[convolution, partial(Inception, conv_block=convolution), nn.Identity],
            dropout=self.dropout,
        )
        if self.stem == "cifar":
            network.conv1 = BasicConv2d(input_shape[0], self.width, kernel_size=3, padding=1)
            network.maxpool1 = network.maxpool2 = nn.Identity()
        else:
            network.conv1 = BasicConv2d(input_shape[0], self.width, kernel_size=7, stride=2, padding=3)
        if self.width != 64:
            network.fc = nn.Linear(16 * self.width, classes)
        return network
