"""What a network tells of a federation: the images that it takes, and its classes."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch
from torch import nn

from fedleak.audit.given import count_classes
from fedleak.errors import InputError
from fedleak.examples import InputShape
from fedleak.models.factory import trusted_function

SIDES = (28, 32, 64, 96, 128, 224)
"""Sides of square images that are tried."""
OPTION = "--input-shape"


def network_of(path: str) -> nn.Module | None:
    """The network that ``module:name`` builds without arguments; None if it must be told images and classes.

    Raises:
        InputError: if its code is not trusted or cannot be imported.
    """
    function = trusted_function(path, setting="--model")
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return None
    try:
        built = function()
    except (Exception, SystemExit) as error:  # a user's function may raise anything
        raise InputError("--model", path, f"it failed when it was called without arguments: {error}") from error
    if not isinstance(built, nn.Module):
        raise InputError("--model", path, f"it gives {type(built).__name__}, not a torch.nn.Module")
    return built


def find_shape(network: nn.Module) -> InputShape:
    """The only shape of square images that a network takes.

    Raises:
        InputError: if it takes several sizes or none.
    """
    channels = _channels(network)
    fitting = [shape for side in SIDES if _takes(network, shape := (channels, side, side))]
    if len(fitting) == 1:
        return fitting[0]
    found = f"the network takes {', '.join('x'.join(map(str, shape)) for shape in fitting) or 'none that was tried'}"
    raise InputError(OPTION, None, f"{found}; give the clients' images: {OPTION} channels,height,width")


def find_classes(network: nn.Module, shape: InputShape) -> int:
    """Number of the network's outputs."""
    return count_classes(network, shape)


def _channels(network: nn.Module) -> int:
    first = next((layer for layer in network.modules() if isinstance(layer, nn.Conv2d)), None)
    return 3 if first is None else first.in_channels


@torch.no_grad()
def _takes(network: nn.Module, shape: Sequence[int]) -> bool:
    modes = [(layer, layer.training) for layer in network.modules()]
    try:
        outputs = network.eval()(torch.zeros(2, *shape))
    except (Exception, SystemExit):  # a user's network may raise anything
        return False
    finally:
        for layer, training in modes:
            layer.training = training
    return isinstance(outputs, torch.Tensor) and outputs.ndim == 2 and len(outputs) == 2
