"""DenseNet-43 and DenseNet-53 with all or fewer connections."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fedleak.examples import InputShape
from fedleak.models.base import Model

ConnectionsName = Literal["dense", "shortnet1", "shortnet2"]
LAYERS = {43: (8, 10, 12, 8), 53: (10, 12, 16, 8)}


class ShortNet(Model):
    """DenseNet-43, DenseNet-53, and their ShortNets with fewer connections (Ju et al. 2022, arXiv 2208.01424).

    Du et al. (2024, arXiv 2404.05403, section 5.2.1) attack these. Layers, widths and connections are those of the
    authors' code for CIFAR-10: no bottlenecks, and the output of a dense block does not include its input.
    """

    kind: Literal["shortnet"] = "shortnet"
    depth: Literal[43, 53] = 43
    """Number of layers with weights."""
    connections: ConnectionsName = "dense"
    """``dense``: a layer reads all previous layers of its block; ``shortnet1``: the first, the last, and those an even
    number of layers back; ``shortnet2``: the last two, and every other layer also those 4, 8, 16 back."""
    growth: int = Field(default=32, ge=1, le=256)
    """Channels of each layer; the first convolution has twice as many."""

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """Depth 43 has 2,167,786 parameters on 3x32x32 images with ten classes when dense."""
        channels, height, width = input_shape
        if min(height, width) < 16:
            raise ValueError(f"four pooling layers need images of 16x16, got {height}x{width}")
        incoming = 2 * self.growth
        parts: list[nn.Module] = [nn.Conv2d(channels, incoming, 7, padding=3, bias=False), nn.ReLU()]
        for number, layers in enumerate(LAYERS[self.depth], start=1):
            block = DenseBlock(incoming, layers, self.growth, self.connections)
            incoming = self._handed_on(block.outgoing, last=number == 4)
            parts += [block, *_transition(block.outgoing, incoming)]
        numbers, hidden = incoming * (height // 16) * (width // 16), 16 * self.growth
        head = [nn.BatchNorm2d(incoming), nn.Flatten(), nn.Linear(numbers, hidden), nn.Linear(hidden, classes)]
        return nn.Sequential(*parts, *head)

    def _handed_on(self, channels: int, *, last: bool) -> int:
        """Output channels of a transition: half of the block's channels, or a fixed number after the last block."""
        if not last:
            return channels // 2
        return self.growth * (2 if self.connections == "shortnet2" else 4)


def read_layers(number: int, connections: ConnectionsName) -> tuple[int, ...]:
    """Numbers, counted from 1, of the previous layers in the block that layer ``number`` reads.

    The block's output is what an additional layer after the last would read.
    """
    if connections == "dense":
        return tuple(range(1, number))
    if connections == "shortnet1":
        back = {1, number - 1, *range(2, number, 2)}
    else:
        back = {1, 2, *(2**i for i in range(2, 8) if number % 2)}
    return tuple(sorted(number - step for step in back if 0 < step < number))


class DenseBlock(nn.Module):
    """Layers of 3x3 convolution and ReLU, each of which reads some of the previous layers.

    Args:
        incoming: channels of the block's input, which is normalised and read only by the first layer.
        layers: number of layers.
        growth: output channels of each layer.
        connections: which layers each layer reads.
    """

    def __init__(self, incoming: int, layers: int, growth: int, connections: ConnectionsName) -> None:
        super().__init__()
        self.reads = [read_layers(number, connections) for number in range(1, layers + 2)]
        self.outgoing = growth * len(self.reads[-1])
        self.norm = nn.BatchNorm2d(incoming)
        widths = [incoming, *(growth * len(read) for read in self.reads[1:-1])]
        self.layers = nn.ModuleList(nn.Conv2d(width, growth, 3, padding=1) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, incoming, H, W)`` -> ``(n, outgoing, H, W)``."""
        given = [self.norm(x)]
        for number, layer in enumerate(self.layers):
            given.append(torch.relu(layer(self._read(given, number))))
        return self._read(given, len(self.layers))

    def _read(self, given: list[Tensor], number: int) -> Tensor:
        parts = [given[i] for i in self.reads[number]] or given[:1]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _transition(incoming: int, outgoing: int) -> list[nn.Module]:
    return [nn.Conv2d(incoming, outgoing, 1), nn.ReLU(), nn.BatchNorm2d(outgoing), nn.AvgPool2d(2)]
