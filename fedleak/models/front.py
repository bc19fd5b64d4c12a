"""The first and the last layer of a network, where they are linear layers that a malicious server can craft."""

from __future__ import annotations

from torch import nn


def first_relu_layer(network: nn.Module) -> str:
    """Name of the first layer with weights, a linear layer with bias whose outputs go through a ReLU.

    Raises:
        ValueError: if the network does not begin so; the message says with what it begins.
    """
    leaves = [(name, layer) for name, layer in network.named_modules() if not list(layer.children())]
    place = next(i for i, (_, layer) in enumerate(leaves) if list(layer.parameters(recurse=False)))
    name, layer = str(leaves[place][0]), leaves[place][1]
    if not isinstance(layer, nn.Linear) or layer.bias is None:
        found = type(layer).__name__ + (" without bias" if isinstance(layer, nn.Linear) else "")
        raise ValueError(f"the network begins with {found}, not with a linear layer with bias (such as model: mlp)")
    behind = leaves[place + 1][1] if place + 1 < len(leaves) else None
    if not isinstance(behind, nn.ReLU):
        found = "nothing" if behind is None else type(behind).__name__
        raise ValueError(f"behind its first layer, {name}, the network has {found}, not a ReLU")
    return name


def last_linear_layer(network: nn.Module, *, outputs: int) -> str:
    """Name of the last layer with weights, a linear layer with bias and so many outputs.

    Raises:
        ValueError: if the network does not end so; the message says with what it ends.
    """
    name, layer = [(n, m) for n, m in network.named_modules() if list(m.parameters(recurse=False))][-1]
    if not isinstance(layer, nn.Linear) or layer.bias is None or layer.out_features != outputs:
        found = type(layer).__name__
        if isinstance(layer, nn.Linear):
            found += f" of {layer.out_features} outputs" if layer.bias is not None else " without bias"
        raise ValueError(f"the network ends with {found}, not with a linear layer with bias and {outputs} outputs")
    return str(name)
