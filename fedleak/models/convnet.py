"""A small convolutional network with batch normalisation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from fedleak.models.base import ACTIVATIONS, ActivationName, InputShape, Model


class ConvNet(Model):
    """Blocks of 3x3 convolution, normalisation, activation and 2x2 max-pooling, then one linear layer."""

    kind: Literal["convnet"] = "convnet"
    widths: tuple[Annotated[int, Field(ge=1)], ...] = (32, 64, 128)
    activation: ActivationName = "relu"
    normalisation: Literal["batch", "none"] = "batch"

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """Every block halves height and width."""
        channels, height, width = input_shape
        if min(height, width) < 2 ** len(self.widths):
            raise ValueError(
                f"{len(self.widths)} poolings need images of {2 ** len(self.widths)}x, got {height}x{width}"
            )
        layers: list[nn.Module] = []
        for out_channels in self.widths:
            layers.append(nn.Conv2d(channels, out_channels, 3, padding=1))
            if self.normalisation == "batch":
                layers.append(nn.BatchNorm2d(out_channels))
            layers += [ACTIVATIONS[self.activation](), nn.MaxPool2d(2)]
            channels, height, width = out_channels, height // 2, width // 2
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, classes))
