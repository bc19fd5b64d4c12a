"""Any network behind an imprint module."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny, WithJsonSchema, model_validator
from torch import Tensor, nn

from fedleak import limits
from fedleak.component import discover
from fedleak.examples import InputShape
from fedleak.models.base import PRECISIONS, Model
from fedleak.models.checkpoint import load_checkpoint
from fedleak.models.initialisation import initialise
from fedleak.models.state import precision

ModuleActivation = Literal["relu", "hard_tanh"]


def _as_model(value: Any) -> Any:
    """A model by its name or settings; the kinds are looked up only now because this module is one of them."""
    if isinstance(value, Model):
        return value
    given = {"kind": value} if isinstance(value, str) else value
    kinds = discover(Model, "fedleak.models")  # type: ignore[type-abstract]
    if not isinstance(given, dict) or given.get("kind") not in kinds:
        raise ValueError(f"expected a model; known kinds: {', '.join(kinds)}")
    return kinds[given["kind"]].model_validate(given)


AnyModel = Annotated[
    SerializeAsAny[Model],
    BeforeValidator(_as_model),
    WithJsonSchema({"type": ["string", "object"], "default": "lenet"}),
]


class Imprinted(Model):
    """Any network behind an imprint module, ``x + v^T s(W x + b)`` (Fowl et al. 2022, arXiv 2110.13057, section 3).

    The module is a linear layer with ``bins`` units and an activation ``s``, whose weighted sum is added to every value
    of the image: the network behind it may be any. A malicious server that names ``crafting: imprint`` sends this
    network; with honest weights the module is a network of one hidden layer like any other.
    With several ``groups`` there is a 1x1 convolution in front of the linear layer that makes so many copies of the
    image, for a server that tells clients apart in the sum of their updates (Zhao et al. 2023, arXiv 2303.12233).
    """

    kind: Literal["imprinted"] = "imprinted"
    inner: AnyModel = Field(default="lenet", validate_default=True)
    """The network behind the module."""
    bins: int = Field(default=256, ge=2, le=limits.WIDTH)
    """Units of the module."""
    activation: ModuleActivation = "relu"
    """``relu``, or ``hard_tanh``, which is flat below 0 and above 1."""
    groups: int = Field(default=1, ge=1, le=limits.CLIENTS)
    """Copies of the image that the linear layer reads; with 1, there is no convolution."""

    @model_validator(mode="after")
    def _wraps_a_plain_network(self) -> Self:
        if isinstance(self.inner, Imprinted):
            raise ValueError("inner must be a network without an imprint module")
        if self.weights is not None:
            raise ValueError("weights of the network behind the module belong to inner.weights")
        return self

    @property
    def innermost(self) -> Model:
        """The network behind the module."""
        return self.inner

    def check_available(self) -> None:
        """Check what the inner network needs."""
        self.inner.check_available()

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """The inner network, whose weights are those that it has alone, behind the module."""
        network = self.inner.module(input_shape, classes)
        initialise(network, self.inner.initialisation)
        dtype = PRECISIONS.get(self.inner.precision, precision(network))
        front = ImprintModule(input_shape, self.bins, activation=self.activation, groups=self.groups)
        return ImprintedNetwork(front.to(dtype), network.to(dtype))

    def first(self, input_shape: InputShape, classes: int, *, seed: int) -> nn.Module:
        """The first global model; a checkpoint is that of the inner network."""
        network = self.build(input_shape, classes, seed=seed)
        if self.inner.weights is not None and isinstance(network, ImprintedNetwork):
            load_checkpoint(network.inner, self.inner.weights)
        return network


class ImprintModule(nn.Module):
    """``(N, *shape)`` -> the same shape: ``x + v^T s(W x + b) + c``, see ``Imprinted``.

    Args:
        shape: of one image.
        bins: units of the linear layer.
        activation: ``relu`` or ``hard_tanh``.
        groups: copies of the image that it reads.
    """

    def __init__(self, shape: InputShape, bins: int, *, activation: ModuleActivation, groups: int = 1) -> None:
        super().__init__()
        self.copies = nn.Conv2d(shape[0], groups * shape[0], 1) if groups > 1 else nn.Identity()
        self.measure = nn.Linear(groups * math.prod(shape), bins)
        self.activation = nn.ReLU() if activation == "relu" else nn.Hardtanh(0.0, 1.0)
        self.carry = nn.Linear(bins, 1)
        self._one_number = (-1, *(1 for _ in shape))

    def forward(self, images: Tensor) -> Tensor:
        """The images with one number added to each."""
        units = self.activation(self.measure(torch.flatten(self.copies(images), 1)))
        added: Tensor = self.carry(units)
        return images + added.reshape(self._one_number)


class ImprintedNetwork(nn.Module):
    """An imprint module and the network behind it."""

    def __init__(self, imprint: ImprintModule, inner: nn.Module) -> None:
        super().__init__()
        self.imprint = imprint
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        """Outputs of the inner network."""
        outputs: Tensor = self.inner(self.imprint(images))
        return outputs
