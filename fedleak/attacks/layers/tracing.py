"""Conversion of an ``nn.Module`` to its graph of layers with ``torch.fx``.

The traced forward pass is processed node by node. Every tensor carries its *flow*: the layers and points whose sum or
concatenation it is. Elementwise operations, normalisation, pooling and reshaping pass the flow on. When a layer with
weights reads a tensor, the tensor becomes a point.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from fedleak.attacks.layers.graph import Layer, LayerGraph, LayerKind, Point, Shape
from fedleak.errors import AttackFailedError
from fedleak.models.state import precision

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU, nn.ELU, nn.Hardtanh)
POOLINGS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
PASSING = (*ACTIVATIONS, *POOLINGS, nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout)
NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)
PASSING_CALLS = {
    *(torch.relu, torch.sigmoid, torch.tanh, F.relu, F.leaky_relu, F.gelu, F.silu, "relu", "sigmoid", "tanh"),
    *(F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.dropout, "mean"),
    *(torch.flatten, torch.transpose, torch.permute, torch.reshape, operator.getitem),
    *("flatten", "transpose", "permute", "reshape", "view", "contiguous", "expand"),
}
ADDITIONS = {operator.add, operator.iadd, torch.add, "add", "add_"}


@dataclass(frozen=True)
class TracedTensor:
    """Flow and shape of a tensor in the traced forward pass.

    Attributes:
        layers, points: the layers and points whose sum or concatenation it is.
        norms: parameters of normalisations and learned tensors, to be assigned to the layer that will read it.
        learned: parameter names, if the tensor consists of parameters only.
        map_shape: its shape, or the shape of the map before flattening.
        tokens: number of learned tokens in front of its own tokens.
        joined: whether something was added or concatenated since the last layer.
    """

    layers: tuple[int, ...] = ()
    points: tuple[int, ...] = ()
    norms: tuple[str, ...] = ()
    learned: tuple[str, ...] = ()
    map_shape: Shape = ()
    tokens: int = 0
    joined: bool = False


def trace_layers(model: nn.Module, input_shape: Shape) -> LayerGraph:
    """The graph of ``model``: linear, convolutional and attention layers, and how their outputs are joined.

    Args:
        model: with any weights; not modified.
        input_shape: ``(C, H, W)``.

    Raises:
        AttackFailedError: if the model contains an unsupported operation; the message names it and its place.
    """
    try:
        traced = fx.symbolic_trace(copy.deepcopy(model))  # the traced graph shares its layers with the model
    except (fx.proxy.TraceError, TypeError, ValueError, RuntimeError) as error:
        raise AttackFailedError(f"{type(model).__name__} cannot be traced: {error}") from error
    traced.graph.eliminate_dead_code()
    traced.recompile()
    traced.eval()
    ShapeProp(traced).propagate(torch.zeros(1, *input_shape, dtype=precision(model)))
    tracer = _Tracer(traced)
    for node in traced.graph.nodes:
        tracer.visit(node)
    if not tracer.layers:
        raise AttackFailedError(f"{type(model).__name__} has no linear or convolutional layer")
    return LayerGraph(tuple(tracer.layers), tuple(tracer.points))


@dataclass
class _Tracer:
    """The graph built so far, and the traced tensor of each node."""

    traced: fx.GraphModule
    layers: list[Layer] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    values: dict[fx.Node, TracedTensor] = field(default_factory=dict)

    def visit(self, node: fx.Node) -> None:
        """Process one node."""
        if node.op == "placeholder":
            shape = _shape(node)
            self.points.append(Point(shape, shape, ()))
            self.values[node] = TracedTensor(points=(0,), map_shape=shape)
        elif node.op == "get_attr":
            self.values[node] = TracedTensor(learned=(str(node.target),))
        elif node.op == "output":
            (source,) = self._tensors(node)
            self._point(self.values[source], _shape(source))
        elif node.op == "call_module":
            self._module(node, str(node.target), self.traced.get_submodule(str(node.target)))
        elif _is_tensor(node) or node.target is operator.getitem:
            self._call(node)

    def _tensors(self, node: fx.Node) -> list[fx.Node]:
        """Tensor arguments of a node, without duplicates."""
        return [source for source in node.all_input_nodes if source in self.values]

    def _module(self, node: fx.Node, name: str, module: nn.Module) -> None:
        source = self.values[self._tensors(node)[0]]
        own = tuple(f"{name}.{parameter}" for parameter, _ in module.named_parameters())
        if isinstance(module, nn.Linear | nn.Conv2d | nn.MultiheadAttention):
            self._layer(node, name, module, own)
        elif isinstance(module, NORMALISATIONS):
            self.values[node] = self._attached(source, own, behind=not source.joined)
        elif isinstance(module, PASSING):
            self.values[node] = self._passed(node, source)
        else:
            raise AttackFailedError(f"{name} ({type(module).__name__}): unsupported layer")

    def _layer(self, node: fx.Node, name: str, module: nn.Module, own: tuple[str, ...]) -> None:
        tensors = self._tensors(node)
        if len(tensors) != 1:
            raise AttackFailedError(f"{name} ({type(module).__name__}): unsupported: more than one input tensor")
        if any(layer.name == name for layer in self.layers):
            raise AttackFailedError(f"{name} ({type(module).__name__}): unsupported: used more than once")
        source = self.values[tensors[0]]
        shape = _shape(tensors[0])
        weight, bias = (n if n in own else None for n in (f"{name}.weight", f"{name}.bias"))
        layer = Layer(
            name=name,
            kind=_kind(module),
            parameters=source.norms + own,
            weight=weight,
            bias=bias,
            input_shape=shape,
            output_shape=_shape(node),
            source=self._point(replace(source, norms=()), shape),
            map_shape=source.map_shape or shape,
        )
        for other, value in self.values.items():  # normalisations before a point belong to its first reader
            if value.norms and value.norms == source.norms:
                self.values[other] = replace(value, norms=())
        self.layers.append(layer)
        self.values[node] = TracedTensor(layers=(len(self.layers) - 1,), map_shape=_shape(node))

    def _call(self, node: fx.Node) -> None:
        sources = [self.values[tensor] for tensor in self._tensors(node)]
        target: Any = node.target
        if target in ADDITIONS or target is torch.cat:
            self.values[node] = self._joined(node, sources)
        elif len(sources) == 1 and target in PASSING_CALLS:
            self.values[node] = self._passed(node, sources[0])
        elif sources:
            raise AttackFailedError(f"{node.name} ({_name(target)}): unsupported operation{_place(node)}")

    def _passed(self, node: fx.Node, source: TracedTensor) -> TracedTensor:
        """The value after an operation that keeps the flow."""
        if source.learned:
            return source
        shape = _shape(node) if _is_tensor(node) else source.map_shape
        same = _numbers(shape) == _numbers(source.map_shape)
        return replace(source, map_shape=source.map_shape if same else shape)

    def _attached(self, source: TracedTensor, parameters: tuple[str, ...], *, behind: bool) -> TracedTensor:
        """The value with ``parameters`` assigned to the one layer before it, or else to the next layer to read it."""
        flow = self._canonical(source)
        if behind and len(flow.layers) == 1 and not flow.points and not flow.norms:
            (number,) = flow.layers
            layer = self.layers[number]
            self.layers[number] = replace(layer, parameters=layer.parameters + parameters)
            return source
        return replace(source, norms=source.norms + parameters)

    def _joined(self, node: fx.Node, sources: list[TracedTensor]) -> TracedTensor:
        """The value after an addition or concatenation."""
        if not any(value.layers or value.points for value in sources):
            raise AttackFailedError(f"{node.name} ({_name(node.target)}): unsupported operation without input")
        if len(sources) != len(node.all_input_nodes):
            raise AttackFailedError(f"{node.name} ({_name(node.target)}): unsupported operand")
        flows = [self._canonical(value) for value in sources if not value.learned]
        value = TracedTensor(
            layers=tuple(dict.fromkeys(number for flow in flows for number in flow.layers)),
            points=tuple(dict.fromkeys(number for flow in flows for number in flow.points)),
            norms=tuple(dict.fromkeys(name for flow in flows for name in flow.norms)),
            map_shape=flows[0].map_shape if len(flows) == 1 else _shape(node),
            tokens=flows[0].tokens if len(flows) == 1 else 0,
            joined=True,
        )
        for learned in (source.learned for source in sources if source.learned):
            value = self._with_learned(node, value, learned)
        return value

    def _with_learned(self, node: fx.Node, value: TracedTensor, learned: tuple[str, ...]) -> TracedTensor:
        """The value after concatenating a learned token or adding a learned offset."""
        value = self._attached(value, learned, behind=True)
        if node.target is torch.cat:
            first = self.values[node.all_input_nodes[0]]
            return replace(value, tokens=value.tokens + (1 if first.learned else 0))
        if len(value.layers) == 1 and not value.points:
            (number,) = value.layers
            self.layers[number] = replace(self.layers[number], offset=learned[0], offset_start=value.tokens)
        return value

    def _canonical(self, value: TracedTensor) -> TracedTensor:
        """The same value as a point if a layer has already read it."""
        number = self._find(value)
        return value if number is None else replace(value, layers=(), points=(number,))

    def _find(self, value: TracedTensor) -> int | None:
        if not value.layers and len(value.points) == 1:
            return value.points[0]
        flow = (value.layers, value.points)
        return next((i for i, p in enumerate(self.points) if i and (p.inputs, p.shortcuts) == flow), None)

    def _point(self, value: TracedTensor, shape: Shape) -> int:
        """Number of the point with this flow; creates the point if it does not exist."""
        if value.norms:
            raise AttackFailedError(f"{value.norms[0]}: unsupported: no layer follows this normalisation")
        found = self._find(value)
        if found is not None:
            return found
        self.points.append(Point(shape, value.map_shape or shape, value.layers, value.points))
        return len(self.points) - 1


def _kind(module: nn.Module) -> LayerKind:
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, nn.Conv2d):
        patches = module.kernel_size == module.stride and module.kernel_size != (1, 1) and module.padding == (0, 0)
        return "patch_embedding" if patches else "convolution"
    return "attention"


def _is_tensor(node: fx.Node) -> bool:
    return isinstance(node.meta.get("tensor_meta"), fx.passes.shape_prop.TensorMetadata)


def _shape(node: fx.Node) -> Shape:
    """Shape per sample; for a pair, such as the output of attention, the shape of its first part."""
    meta = node.meta["tensor_meta"]
    first = meta if _is_tensor(node) else meta[0]
    return tuple(first.shape[1:])


def _numbers(shape: Shape) -> int:
    return int(torch.Size(shape).numel())


def _place(node: fx.Node) -> str:
    """The module that contains an operation, as text; empty for the outermost module."""
    stack = node.meta.get("nn_module_stack", {})
    return f" in {list(stack)[-1]}" if stack else ""


def _name(target: str | Callable[..., Any]) -> str:
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))
