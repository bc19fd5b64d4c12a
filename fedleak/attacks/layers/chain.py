"""The leaked model as a chain of linear and convolutional layers with known activations in between."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from fedleak.attacks.layers.tracing import trace_layers
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape

WeightedModule = nn.Linear | nn.Conv2d
ActivationKind = Literal["identity", "relu", "leaky_relu", "sigmoid", "tanh"]
KINDS: dict[type[nn.Module], ActivationKind] = {
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
}
IGNORED = (nn.Flatten, nn.Identity, nn.Dropout)


@dataclass(frozen=True)
class Activation:
    """An elementwise activation function; ``slope`` is that of a leaky ReLU below zero."""

    kind: ActivationKind = "identity"
    slope: float = 0.0

    def derivative(self, a: Tensor) -> Tensor:
        """``s'(z)`` from ``a = s(z)`` alone (Chen & Liu 2025, arXiv 2505.20026, Table 8); any shape."""
        if self.kind == "relu":
            return (a > 0).to(a.dtype)
        if self.kind == "leaky_relu":
            return torch.where(a > 0, torch.ones_like(a), torch.full_like(a, self.slope))
        if self.kind == "sigmoid":
            return a * (1 - a)
        return 1 - a.square() if self.kind == "tanh" else torch.ones_like(a)

    def inverse(self, a: Tensor) -> Tensor:
        """``z`` from ``a = s(z)``, any shape; NaN where ``a`` does not determine it (zeros of a ReLU, saturation)."""
        unknown = torch.full_like(a, torch.nan)
        if self.kind == "relu" or (self.kind == "leaky_relu" and self.slope == 0):
            return torch.where(a > 0, a, unknown)
        if self.kind == "leaky_relu":
            return torch.where(a > 0, a, a / self.slope)
        if self.kind == "sigmoid":
            return torch.where((a > 0) & (a < 1), torch.logit(a.clamp(0, 1)), unknown)
        return torch.where(a.abs() < 1, torch.atanh(a.clamp(-1, 1)), unknown) if self.kind == "tanh" else a


@dataclass(frozen=True)
class ChainLayer:
    """One layer, ``a = s(W a_in + b)``.

    Attributes:
        name: module path in the leaked model.
        module: gives the geometry: a linear layer, or a convolution with one group and zero padding; random weights.
        activation: after the layer; ``identity`` after the last layer.
        input_shape: per sample, ``(C, H, W)`` or ``(width,)``.
        output_shape: per sample.
    """

    name: str
    module: WeightedModule
    activation: Activation
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    @property
    def bias(self) -> bool:
        """Whether the layer has a bias."""
        return self.module.bias is not None


def chain_of(model: nn.Module, input_shape: InputShape) -> tuple[ChainLayer, ...]:
    """The layers of ``model`` from first to last; dropout counts as off.

    Args:
        model: with any weights; not modified.
        input_shape: ``(C, H, W)``.

    Raises:
        AttackFailedError: if the model is no chain of linear and convolutional layers with known activations; the
            message names the part that does not fit.
    """
    if not trace_layers(model, input_shape).is_chain:
        raise AttackFailedError(f"the attack needs a chain of layers, but {type(model).__name__} has branches")
    traced = fx.symbolic_trace(copy.deepcopy(model))
    traced.eval()
    ShapeProp(traced).propagate(torch.zeros(1, *input_shape))
    layers: list[ChainLayer] = []
    for node in traced.graph.nodes:
        if node.op == "call_module":
            layers = _with(layers, node, traced.get_submodule(str(node.target)))
        elif node.op not in ("placeholder", "output") and node.target not in (torch.flatten, "flatten"):
            raise AttackFailedError(f"{node.name}: the attack cannot invert this operation")
    if layers[-1].activation.kind != "identity":
        raise AttackFailedError(f"{layers[-1].name}: the attack needs logits, not an activation, at the end")
    return tuple(layers)


def _with(layers: list[ChainLayer], node: fx.Node, module: nn.Module) -> list[ChainLayer]:
    """The layers with one more module appended."""
    if isinstance(module, IGNORED):
        return layers
    kind = KINDS.get(type(module))
    if kind is not None and layers and layers[-1].activation.kind == "identity":
        activation = Activation(kind, float(getattr(module, "negative_slope", 0.0)))
        return [*layers[:-1], replace(layers[-1], activation=activation)]
    plain = isinstance(module, nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros"
    if not (isinstance(module, nn.Linear) or (plain and isinstance(module, nn.Conv2d))):
        raise AttackFailedError(f"{node.target} ({type(module).__name__}): the attack cannot invert this layer")
    shapes = [tuple(n.meta["tensor_meta"].shape[1:]) for n in (node.all_input_nodes[0], node)]
    return [*layers, ChainLayer(str(node.target), module, Activation(), shapes[0], shapes[1])]


def unfold(layer: nn.Conv2d, inputs: Tensor) -> Tensor:
    """Input patch of each output position: ``(n, C, H, W)`` -> ``(n, C * k * k, positions)``."""
    padded = F.pad(inputs, margins(layer))
    return F.unfold(padded, layer.kernel_size, dilation=layer.dilation, stride=layer.stride)


def margins(layer: nn.Conv2d) -> tuple[int, int, int, int]:
    """Zeros that the layer adds to its input, given by number or by name: left, right, top, bottom."""
    padding = layer.padding
    if not isinstance(padding, str):
        return padding[1], padding[1], padding[0], padding[0]
    if padding == "valid":
        return 0, 0, 0, 0
    height, width = (d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True))
    return width // 2, width - width // 2, height // 2, height - height // 2  # as torch's "same"
