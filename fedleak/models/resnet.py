"""Residual networks of depth 18 to 152."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Literal, Self

import torchvision
from pydantic import Field, model_validator
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from fedleak.examples import InputShape
from fedleak.models.base import Model
from fedleak.models.norms import NormName, norm

Depth = Literal[18, 34, 50, 101, 152]
StemName = Literal["cifar", "imagenet"]
BLOCKS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


class ResNet(Model):
    """Torchvision's ResNet without pretrained weights, with removable skips (He et al. 2016, arXiv 1512.03385)."""

    kind: Literal["resnet"] = "resnet"
    depth: Depth = 18
    """Number of layers with weights."""
    width: int = Field(default=64, ge=1, le=1024)
    """Channels of the first convolution; all other layers scale with it."""
    stem: StemName = "cifar"
    """``cifar``: a 3x3 convolution with stride 1 and no pooling, for small images; ``imagenet``: 7x7, stride 2,
    max-pooling."""
    normalisation: NormName = "batch"
    """Normalisation after the convolutions."""
    cut_skips: tuple[str, ...] = ()
    """Blocks whose shortcut is removed, including its projection, such as ``layer1.0`` for the first block."""

    @model_validator(mode="after")
    def _cuts_its_own_skips(self) -> Self:
        positions = self.positions()
        unknown = [name for name in self.cut_skips if name not in positions]
        if unknown:
            raise ValueError(f"cut_skips: no block {', '.join(unknown)}; blocks: {', '.join(positions)}")
        return self

    def positions(self) -> tuple[str, ...]:
        """Names of all blocks, from the shallowest to the deepest."""
        return tuple(f"layer{i}.{j}" for i, count in enumerate(BLOCKS[self.depth], start=1) for j in range(count))

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """The network; depth 18 has 11,173,962 parameters on three channels with ten classes and the stem ``cifar``."""
        network = _Network(self, input_shape[0], classes)
        for name in self.cut_skips:
            network.set_submodule(name, without_skip(network.get_submodule(name)))
        return network


def without_skip(block: nn.Module) -> nn.Sequential:
    """Torchvision's block as a plain chain of its convolutions, which keep their names."""
    chain: OrderedDict[str, nn.Module] = OrderedDict()
    for i in range(1, 4 if isinstance(block, Bottleneck) else 3):
        chain[f"conv{i}"] = block.get_submodule(f"conv{i}")
        chain[f"bn{i}"] = block.get_submodule(f"bn{i}")
        chain[f"relu{i}"] = nn.ReLU(inplace=True)
    return nn.Sequential(chain)


class _Network(torchvision.models.ResNet):  # type: ignore[misc]  # torchvision has no types
    """Torchvision's network with another stem and every width multiplied by ``width / 64``."""

    def __init__(self, settings: ResNet, channels: int, classes: int) -> None:
        self.width = settings.width
        block = BasicBlock if settings.depth < 50 else Bottleneck
        super().__init__(
            block, BLOCKS[settings.depth], classes, norm_layer=lambda channels: norm(settings.normalisation, channels)
        )
        if settings.stem == "cifar":
            self.conv1 = nn.Conv2d(channels, self.width, 3, padding=1, bias=False)
            self.maxpool = nn.Identity()
        else:
            self.conv1 = nn.Conv2d(channels, self.width, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's own
        if self.width != 64:
            self.bn1 = norm(settings.normalisation, self.width)
            self.fc = nn.Linear(self.inplanes, classes)

    def _make_layer(self, block: Any, planes: int, *args: Any, **kwargs: Any) -> nn.Sequential:
        if planes == 64:
            self.inplanes = self.width  # channels of the stem
        layer: nn.Sequential = super()._make_layer(block, planes * self.width // 64, *args, **kwargs)
        return layer
