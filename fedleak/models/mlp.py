"""MLP, multi-layer perceptron."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from fedleak import limits
from fedleak.examples import InputShape
from fedleak.models.base import ACTIVATIONS, ActivationName, Model


class Mlp(Model):
    """Multi-layer perceptron: fully connected layers with an activation in between."""

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[Annotated[int, Field(ge=1, le=limits.WIDTH)], ...] = (128, 64)
    """Units of each hidden layer, from the input on."""
    activation: ActivationName = "relu"
    """Activation after each hidden layer."""
    bias: bool = True
    """Whether the layers have a bias."""

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """The network: Flatten, then Linear and activation for every hidden width, then Linear."""
        layers: list[nn.Module] = [nn.Flatten()]
        width = math.prod(input_shape)
        for hidden in self.hidden:
            layers += [nn.Linear(width, hidden, bias=self.bias), ACTIVATIONS[self.activation]()]
            width = hidden
        return nn.Sequential(*layers, nn.Linear(width, classes, bias=self.bias))
