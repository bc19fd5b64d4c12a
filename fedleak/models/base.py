"""Base class of models: hyper-parameters and a factory for an ``nn.Module``."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

from torch import nn

from fedleak import seeds
from fedleak.component import Component
from fedleak.examples import InputShape
from fedleak.models.initialisation import InitialisationName, initialise

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
    """Base class of models: normalised images ``(N, C, H, W)`` -> outputs ``(N, outputs)``, such as class logits."""

    initialisation: InitialisationName = "default"
    """Initialisation of the weights: as in the architecture's source, or another rule for all layers."""

    @abstractmethod
    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """The network with its default initialisation, drawn from the global generator.

        Raises:
            ValueError: if it cannot be built for such images.
        """

    def check_available(self) -> None:
        """Check what can be checked before the images are known.

        Raises:
            InputError: if this machine lacks something that the network needs.
        """

    def build(self, input_shape: InputShape, classes: int, *, seed: int) -> nn.Module:
        """The network with weights that depend only on ``seed``."""
        with seeds.global_torch_seed(seed):
            network = self.module(input_shape, classes)
            initialise(network, self.initialisation)
            return network

    def factory(self, input_shape: InputShape, outputs: int) -> NetworkFactory:
        """A callable that builds the network from a seed."""
        return NetworkFactory(self, input_shape, outputs)


@dataclass(frozen=True)
class NetworkFactory:
    """Builds one network, with weights drawn from a seed. Factories of the same settings are equal."""

    model: Model
    input_shape: InputShape
    outputs: int

    def __call__(self, seed: int) -> nn.Module:
        """A new network."""
        return self.model.build(self.input_shape, self.outputs, seed=seed)
