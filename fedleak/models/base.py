"""What every model is: hyper-parameters and a factory for an ``nn.Module``."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from torch import nn

from fedleak import seeds
from fedleak.component import Component
from fedleak.models.initialisation import InitialisationName, initialise

InputShape = tuple[int, int, int]
ActivationName = Literal["relu", "leaky_relu", "sigmoid", "tanh", "elu", "gelu", "silu", "none"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "none": nn.Identity,
}


class Model(Component):
    """An image classifier: normalised images ``(N, C, H, W)`` -> logits ``(N, classes)``."""

    initialisation: InitialisationName = "default"
    """How weights are drawn: as the architecture's source does it, or another rule for all layers."""

    @abstractmethod
    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """The network with its default initialisation, drawn from the global generator.

        Raises:
            ValueError: if it cannot be built for such images.
        """

    def build(self, input_shape: InputShape, classes: int, *, seed: int) -> nn.Module:
        """The network with weights that depend on ``seed`` alone."""
        with seeds.global_torch_seed(seed):
            network = self.module(input_shape, classes)
            initialise(network, self.initialisation)
            return network
