"""The LeNets of the gradient-inversion literature."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from fedleak import limits
from fedleak.examples import InputShape
from fedleak.models.base import ACTIVATIONS, ActivationName, Model

KERNEL, STRIDES = 5, (2, 2, 1)
"""Of DLG's network."""


def _is_kernel(value: int) -> bool:
    return value == KERNEL


def _is_strides(value: tuple[int, ...]) -> bool:
    return value == STRIDES


class LeNet(Model):
    """Convolutions with "same" padding, each with an activation, and one linear layer; no pooling, no normalisation.

    By default DLG's network (Zhu et al. 2019, arXiv 1906.08935): three 5x5 convolutions with strides 2, 2, 1. LTI's
    victim (Wu et al. 2023, UAI) is the same, with ``initialisation: uniform_wide`` and images that are not normalised
    (``dataset.mean: 0``, ``dataset.std: 1``). The network of Chen & Liu 2025 (arXiv 2505.20026, appendix C) has "a
    5-layer configuration with kernel size 2 and same padding": ``kernel: 2, strides: [2, 2, 1, 1]`` is our reading of
    it, since they give neither strides, channels nor activation, nor whether the linear layer counts.
    """

    kind: Literal["lenet"] = "lenet"
    channels: int = Field(default=12, ge=1, le=limits.WIDTH)
    """Channels of each convolution."""
    kernel: int = Field(default=KERNEL, ge=1, le=15, exclude_if=_is_kernel)
    """Height and width of the filters, in pixels."""
    strides: tuple[Annotated[int, Field(ge=1, le=15)], ...] = Field(
        default=STRIDES, min_length=1, max_length=limits.LAYERS, exclude_if=_is_strides
    )
    """Stride of each convolution, whose number this is."""
    activation: ActivationName = "sigmoid"
    """Activation after each convolution."""
    last_bias: bool = True
    """Whether the last layer has a bias; GIT starts from its gradient."""

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """15,826 parameters on 3x32x32 images with ten classes."""
        convolutions: list[nn.Module] = []
        width, height, breadth = input_shape
        for stride in self.strides:
            sides = (self._padding(height, stride), self._padding(breadth, stride))
            uneven = stride == 1 and self.kernel % 2 == 0
            convolution = nn.Conv2d(
                width, self.channels, self.kernel, stride=stride, padding="same" if uneven else sides
            )
            convolutions += [convolution, ACTIVATIONS[self.activation]()]
            width, height, breadth = self.channels, -(-height // stride), -(-breadth // stride)
        features = width * height * breadth
        return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(features, classes, bias=self.last_bias))

    def _padding(self, side: int, stride: int) -> int:
        """Zeros on each side of a map, for ``ceil(side / stride)`` positions; an odd number in all is rounded up."""
        steps = -(-side // stride) - 1
        return max(0, steps * stride + self.kernel - side + 1) // 2
