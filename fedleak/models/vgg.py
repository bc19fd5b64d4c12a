"""VGG architectures."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from pydantic import Field
from torch import nn
from torchvision.models.vgg import VGG, cfgs, make_layers

from fedleak.examples import InputShape
from fedleak.models.base import Model

LETTERS = {11: "A", 13: "B", 16: "D", 19: "E"}
POOLINGS = 5


class Vgg(Model):
    """Torchvision's VGG without pretrained weights (Simonyan & Zisserman 2015, arXiv 1409.1556)."""

    kind: Literal["vgg"] = "vgg"
    depth: Literal[11, 13, 16, 19] = 11
    """Number of layers with weights."""
    width: int = Field(default=64, ge=1, le=1024)
    """Channels of the first convolution; all other layers scale with it."""
    normalisation: Literal["none", "batch"] = "batch"
    """Normalisation after the convolutions."""
    head: Literal["linear", "imagenet"] = "linear"
    """``linear``: one linear layer, as usual for small images; ``imagenet``: 7x7 average pooling, then three linear
    layers with 4,096, 4,096 and ``classes`` outputs, with dropout."""

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """The network; depth 16 has 14,728,266 parameters for 3x32x32 images, ten classes, batch norm, linear head."""
        channels, height, width = input_shape
        if min(height, width) < 2**POOLINGS:
            raise ValueError(f"five pooling layers need images of 32x32, got {height}x{width}")
        plan = [step if step == "M" else step * self.width // 64 for step in cfgs[LETTERS[self.depth]]]
        features = make_layers(plan, batch_norm=self.normalisation == "batch")
        features[0] = nn.Conv2d(channels, self.width, 3, padding=1)
        last = self.width * 8
        if self.head == "imagenet":
            return self._imagenet(features, last, classes)
        numbers = last * (height // 2**POOLINGS) * (width // 2**POOLINGS)
        _initialise(features)
        return nn.Sequential(
            OrderedDict(features=features, flatten=nn.Flatten(), classifier=nn.Linear(numbers, classes))
        )

    def _imagenet(self, features: nn.Module, last: int, classes: int) -> nn.Module:
        network: nn.Module = VGG(features, num_classes=classes)
        if last != 512:
            network.get_submodule("classifier").register_module("0", nn.Linear(last * 7 * 7, 4096))
        return network


def _initialise(features: nn.Module) -> None:
    """Initialise the convolutions as torchvision does."""
    for layer in features.modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
