"""A convolutional network with a setting for every micro-design."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from fedleak import limits
from fedleak.examples import InputShape
from fedleak.models.base import ACTIVATIONS, ActivationName, Model
from fedleak.models.norms import NormName, norm

PoolingName = Literal["max", "average", "none"]
POOLINGS: dict[str, type[nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


class ConvNet(Model):
    """Blocks of convolution, normalisation, activation and 2x2 pooling, then one linear layer.

    Its settings are the micro-designs that Du et al. vary one at a time (2024, arXiv 2404.05403, section 5.2.2).
    """

    kind: Literal["convnet"] = "convnet"
    widths: tuple[Annotated[int, Field(ge=1, le=limits.WIDTH)], ...] = (32, 64, 128)
    """Channels of each block."""
    kernel: int = Field(default=3, ge=1, le=15)
    """Height and width of the filters, in pixels."""
    padding: int = Field(default=1, ge=0, le=15)
    """Zero padding on each side of every map, in pixels."""
    bias: bool = True
    """Whether convolutions and the linear layer have a bias."""
    activation: ActivationName = "relu"
    """Activation after each convolution."""
    normalisation: NormName = "batch"
    """Normalisation after the convolutions."""
    pooling: PoolingName = "max"
    """How images are made smaller."""
    pool_every: int = Field(default=1, ge=1, le=limits.LAYERS)
    """Number of blocks per pooling layer."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout rate on the linear layer's inputs; in training mode only."""

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """The network; by default every block halves height and width."""
        channels, height, width = input_shape
        layers: list[nn.Module] = []
        for number, outgoing in enumerate(self.widths, start=1):
            layers += self._convolution(channels, outgoing)
            height, width = (side + 2 * self.padding - self.kernel + 1 for side in (height, width))
            if self.pooling != "none" and number % self.pool_every == 0:
                layers.append(POOLINGS[self.pooling](2))
                height, width = height // 2, width // 2
            if min(height, width) < 1:
                raise ValueError(f"images of {input_shape[1]}x{input_shape[2]} are too small for block {number}")
            channels = outgoing
        dropout = [nn.Dropout(self.dropout)] if self.dropout else []
        return nn.Sequential(
            *layers, nn.Flatten(), *dropout, nn.Linear(channels * height * width, classes, bias=self.bias)
        )

    def _convolution(self, incoming: int, outgoing: int) -> list[nn.Module]:
        convolution = nn.Conv2d(incoming, outgoing, self.kernel, padding=self.padding, bias=self.bias)
        normalisation = [] if self.normalisation == "none" else [norm(self.normalisation, outgoing)]
        return [convolution, *normalisation, ACTIVATIONS[self.activation]()]
