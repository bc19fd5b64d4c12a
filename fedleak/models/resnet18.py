"""ResNet-18."""

from __future__ import annotations

from typing import Literal

import torchvision
from torch import nn

from fedleak.models.base import InputShape, Model
from fedleak.models.norms import NormName, norm


class ResNet18(Model):
    """Torchvision's ResNet-18 without pretrained weights (He et al. 2016, arXiv 1512.03385)."""

    kind: Literal["resnet18"] = "resnet18"
    stem: Literal["cifar", "imagenet"] = "cifar"
    """``cifar``: a 3x3 convolution that keeps the side and no pooling, for small images; ``imagenet``: 7x7, stride 2,
    max-pooling."""
    normalisation: NormName = "batch"

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """11,173,962 parameters on three channels with ten classes and the stem ``cifar``."""
        network: nn.Module = torchvision.models.resnet18(
            weights=None, num_classes=classes, norm_layer=lambda channels: norm(self.normalisation, channels)
        )
        if self.stem == "cifar":
            convolution = nn.Conv2d(input_shape[0], 64, 3, padding=1, bias=False)
            network.maxpool = nn.Identity()
        else:
            convolution = nn.Conv2d(input_shape[0], 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's own
        network.conv1 = convolution
        return network
