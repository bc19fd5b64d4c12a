"""ResNet-18 architecture."""

from __future__ import annotations

from typing import Literal

from torch import nn

from fedleak.examples import InputShape
from fedleak.models.base import Model
from fedleak.models.norms import NormName
from fedleak.models.resnet import ResNet, StemName


class ResNet18(Model):
    """ResNet-18: shorthand for ``resnet`` of depth 18."""

    kind: Literal["resnet18"] = "resnet18"
    stem: StemName = "cifar"
    """``cifar``: a 3x3 convolution without pooling; ``imagenet``: 7x7, stride 2, max-pooling."""
    normalisation: NormName = "batch"
    """Normalisation after the convolutions."""

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """11,173,962 parameters on three channels with ten classes and the stem ``cifar``."""
        return ResNet(stem=self.stem, normalisation=self.normalisation).module(input_shape, classes)
