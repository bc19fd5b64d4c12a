"""What every model is: hyper-parameters and a factory for an ``nn.Module``."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from torch import nn

from fedleak import seeds
from fedleak.component import Component

InputShape = tuple[int, int, int]
ActivationName = Literal["relu", "leaky_relu", "sigmoid", "tanh"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


class Model(Component):
    """An image classifier: normalised images ``(N, C, H, W)`` -> logits ``(N, classes)``."""

    @abstractmethod
    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """The network with torch's default initialisation, drawn from the global generator."""

    def build(self, input_shape: InputShape, classes: int, *, seed: int) -> nn.Module:
        """The network with weights that depend on ``seed`` alone."""
        with seeds.global_torch_seed(seed):
            return self.module(input_shape, classes)
