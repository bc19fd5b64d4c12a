"""What Exact-GIT must know of the leaked model: linear and convolutional layers, and the activation between them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from fedleak.attacks.layers.tracing import trace_layers
from fedleak.errors import AttackFailedError

ActivationKind = Literal["identity", "relu", "leaky_relu", "sigmoid", "tanh"]
KINDS: dict[type[nn.Module], ActivationKind] = {
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
}
SILENT = (nn.Flatten, nn.Identity, nn.Dropout)


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
        """``z`` from ``a = s(z)``, any shape; not a number where ``a`` does not tell (a ReLU's zeros, saturation)."""
        unknown = torch.full_like(a, torch.nan)
        if self.kind == "relu" or (self.kind == "leaky_relu" and self.slope == 0):
            return torch.where(a > 0, a, unknown)
        if self.kind == "leaky_relu":
            return torch.where(a > 0, a, a / self.slope)
        if self.kind == "sigmoid":
            return torch.where((a > 0) & (a < 1), torch.logit(a.clamp(0, 1)), unknown)
        return torch.where(a.abs() < 1, torch.atanh(a.clamp(-1, 1)), unknown) if self.kind == "tanh" else a


@dataclass(frozen=True)
class ExactLayer:
    """One layer, ``a = s(W a_in + b)``.

    Attributes:
        name: module path in the leaked model.
        module: its geometry; a linear layer, or a convolution with one group and zero padding. Its weights are random.
        activation: behind it; none behind the last layer.
        input_shape: per sample, ``(C, H, W)`` or ``(width,)``.
        output_shape: per sample.
    """

    name: str
    module: nn.Linear | nn.Conv2d
    activation: Activation
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    @property
    def bias(self) -> bool:
        """Whether it has a bias."""
        return self.module.bias is not None


def exact_chain(model: nn.Module, input_shape: tuple[int, int, int]) -> tuple[ExactLayer, ...]:
    """The layers of ``model`` from first to last.

    Raises:
        AttackFailedError: naming what is no chain of linear and convolutional layers with known activations.
    """
    if not trace_layers(model, input_shape).is_chain:
        raise AttackFailedError(f"exact_git inverts chains of layers; {type(model).__name__} branches; try coarse_git")
    traced = fx.symbolic_trace(copy.deepcopy(model))
    traced.eval()
    ShapeProp(traced).propagate(torch.zeros(1, *input_shape))
    layers: list[ExactLayer] = []
    for node in traced.graph.nodes:
        if node.op == "call_module":
            layers = _with(layers, node, traced.get_submodule(str(node.target)))
        elif node.op not in ("placeholder", "output") and node.target not in (torch.flatten, "flatten"):
            raise AttackFailedError(f"{node.name}: exact_git cannot invert this operation; try coarse_git")
    if layers[-1].activation.kind != "identity":
        raise AttackFailedError(f"{layers[-1].name}: exact_git needs logits, not an activation, at the end")
    return tuple(layers)


def _with(layers: list[ExactLayer], node: fx.Node, module: nn.Module) -> list[ExactLayer]:
    """The layers with one more module."""
    if isinstance(module, SILENT):
        return layers
    kind = KINDS.get(type(module))
    if kind is not None and layers and layers[-1].activation.kind == "identity":
        activation = Activation(kind, float(getattr(module, "negative_slope", 0.0)))
        return [*layers[:-1], replace(layers[-1], activation=activation)]
    plain = isinstance(module, nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros"
    if not (isinstance(module, nn.Linear) or (plain and isinstance(module, nn.Conv2d))):
        raise AttackFailedError(f"{node.target} ({type(module).__name__}): exact_git cannot invert it; try coarse_git")
    shapes = [tuple(n.meta["tensor_meta"].shape[1:]) for n in (node.all_input_nodes[0], node)]
    return [*layers, ExactLayer(str(node.target), module, Activation(), shapes[0], shapes[1])]
