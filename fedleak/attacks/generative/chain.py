"""The chain of layers of a leaked model, found by tracing it.

GIT's generator mirrors the leaked model, so the model's structure has to be known: ``torch.fx`` traces the forward
pass, and every layer with weights is taken down with its parameters and the shapes of its input and output.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from fedleak.errors import AttackFailedError

WEIGHTED = (nn.Linear, nn.Conv2d)
NORMALISATION = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)
UNWEIGHTED = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.Flatten,
    nn.Identity,
    nn.Dropout,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
)
FLATTEN_CALLS = (torch.flatten, "flatten")


@dataclass(frozen=True)
class ChainLayer:
    """One linear or convolutional layer.

    Attributes:
        name: module path in the leaked model.
        parameters: names of its parameters and of the normalisation right behind it.
        bias: name of its own bias, if it has one.
        input_shape, output_shape: per sample.
        map_shape: the input's shape before it was flattened; the same where it was not.
    """

    name: str
    parameters: tuple[str, ...]
    bias: str | None
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    map_shape: tuple[int, ...] = field(default=(), compare=False)


def trace_chain(model: nn.Module, input_shape: tuple[int, ...]) -> tuple[ChainLayer, ...]:
    """Layers of ``model`` from first to last.

    Args:
        model: a network without branches, any weights.
        input_shape: ``(C, H, W)``.

    Raises:
        AttackFailedError: naming the operation that does not fit a chain and where it stands.
    """
    try:
        graph = fx.symbolic_trace(copy.deepcopy(model))  # the traced graph shares its layers with the model
    except (fx.proxy.TraceError, TypeError, ValueError, RuntimeError) as error:
        raise AttackFailedError(f"{type(model).__name__} cannot be traced: {error}") from error
    graph.eval()
    ShapeProp(graph).propagate(torch.zeros(1, *input_shape))
    layers: list[ChainLayer] = []
    for node in graph.graph.nodes:
        _add_node(graph, node, layers)
    if not layers:
        raise AttackFailedError(f"{type(model).__name__} has no linear or convolutional layer")
    return tuple(layers)


def _add_node(graph: fx.GraphModule, node: fx.Node, layers: list[ChainLayer]) -> None:
    if len(node.all_input_nodes) > 1 or len([u for u in node.users if u.op != "output"]) > 1:
        raise AttackFailedError(f"{node.name} ({node.target}): the model branches here; this attack needs a chain")
    if node.op in ("placeholder", "output"):
        return
    if node.op != "call_module":
        if node.target in (*FLATTEN_CALLS, torch.relu, "relu"):
            return
        raise AttackFailedError(f"{node.name} ({node.target}): unsupported operation in a chain")
    name = str(node.target)
    module = graph.get_submodule(name)
    if isinstance(module, UNWEIGHTED):
        return
    own = tuple(f"{name}.{parameter}" for parameter, _ in module.named_parameters(recurse=False))
    if isinstance(module, NORMALISATION) and layers:
        last = layers.pop()
        layers.append(replace(last, parameters=last.parameters + own))
    elif isinstance(module, WEIGHTED):
        bias = f"{name}.bias" if module.bias is not None else None
        source = node.all_input_nodes[0]
        layers.append(ChainLayer(name, own, bias, _shape(source), _shape(node), _map_shape(graph, source)))
    else:
        raise AttackFailedError(f"{name} ({type(module).__name__}): unsupported layer in a chain")


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(node.meta["tensor_meta"].shape[1:])


def _map_shape(graph: fx.GraphModule, node: fx.Node) -> tuple[int, ...]:
    """Shape of the feature map that ``node`` is a flattened form of."""
    while _flattens(graph, node):
        node = node.all_input_nodes[0]
    return _shape(node)


def _flattens(graph: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(graph.get_submodule(str(node.target)), nn.Flatten | nn.Dropout | nn.Identity)
    return node.target in FLATTEN_CALLS
