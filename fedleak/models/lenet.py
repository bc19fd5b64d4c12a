"""The LeNet of the gradient-inversion literature."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from fedleak import limits
from fedleak.examples import InputShape
from fedleak.models.base import ACTIVATIONS, ActivationName, Model


class LeNet(Model):
    """Three 5x5 convolutions with strides 2, 2, 1 and one linear layer (Zhu et al. 2019, arXiv 1906.08935)."""

    kind: Literal["lenet"] = "lenet"
    channels: int = Field(default=12, ge=1, le=limits.WIDTH)
    """Channels of each convolution."""
    activation: ActivationName = "sigmoid"
    """Activation after each convolution."""
    last_bias: bool = True
    """Whether the last layer has a bias; GIT starts from its gradient."""

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """15,826 parameters on 3x32x32 images with ten classes."""
        activation = ACTIVATIONS[self.activation]
        convolutions: list[nn.Module] = []
        width = input_shape[0]
        for stride in (2, 2, 1):
            convolutions += [nn.Conv2d(width, self.channels, 5, stride=stride, padding=2), activation()]
            width = self.channels
        with torch.no_grad():
            features = nn.Sequential(*convolutions, nn.Flatten())(torch.zeros(1, *input_shape)).shape[1]
        return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(features, classes, bias=self.last_bias))
