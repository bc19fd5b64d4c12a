"""Base class of models: hyper-parameters and a factory for an ``nn.Module``."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from operator import not_
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from fedleak import seeds
from fedleak.component import Component
from fedleak.examples import InputShape
from fedleak.models.checkpoint import load_checkpoint
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


PrecisionName = Literal["default", "float16", "bfloat16", "float32", "float64"]
PRECISIONS: dict[str, torch.dtype] = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}


def _is_default(name: str) -> bool:
    return name == "default"


class Model(Component):
    """Base class of models: normalised images ``(N, C, H, W)`` -> outputs ``(N, outputs)``, such as class logits."""

    initialisation: InitialisationName = "default"
    """Initialisation of the weights: as in the architecture's source, or another rule for all layers."""
    precision: PrecisionName = Field(default="default", exclude_if=_is_default)
    """Data type of parameters and buffers, in which clients train: as the architecture has it (single precision, unless
    a factory chooses otherwise), or another."""
    weights: Path | None = Field(default=None, exclude_if=not_)
    """Checkpoint of the first global model instead of random weights: a state dictionary in a ``.safetensors`` file, or
    in one that ``torch.load`` reads with ``weights_only=True`` (default: random weights)."""

    @model_validator(mode="after")
    def _has_one_source_of_weights(self) -> Self:
        if self.weights is not None and self.initialisation != "default":
            raise ValueError("weights replaces initialisation: give one of them")
        return self

    @abstractmethod
    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """The network with its default initialisation, drawn from the global generator.

        Raises:
            ValueError: if it cannot be built for such images.
        """

    @property
    def innermost(self) -> Model:
        """The network itself, or the one that it wraps."""
        return self

    def check_available(self) -> None:
        """Check what can be checked before the images are known.

        Raises:
            InputError: if this machine lacks something that the network needs.
        """

    def build(self, input_shape: InputShape, classes: int, *, seed: int) -> nn.Module:
        """The network with weights that depend only on ``seed``; ``first`` reads a checkpoint."""
        with seeds.global_torch_seed(seed):
            network = self.module(input_shape, classes)
            initialise(network, self.initialisation)
            dtype = PRECISIONS.get(self.precision)
            return network if dtype is None else network.to(dtype)

    def first(self, input_shape: InputShape, classes: int, *, seed: int) -> nn.Module:
        """The first global model: the network with the weights of the checkpoint, or as ``build``.

        Raises:
            InputError: if the checkpoint cannot be read or does not fit.
        """
        network = self.build(input_shape, classes, seed=seed)
        if self.weights is not None:
            load_checkpoint(network, self.weights)
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
