"""The tensors of a network: those that are trained and shared, and the rest, which is a public part of the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fedleak.tensors import NamedTensors, Tensors


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that require gradients, in the order of the network: what clients train and share.

    A parameter with several names (tied layers) is listed once, under its first name.
    """
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def frozen(module: nn.Module) -> tuple[str, ...]:
    """Names of the parameters that do not require gradients: never trained or shared, known to the server."""
    return tuple(name for name, parameter in module.named_parameters() if not parameter.requires_grad)


def whole_state(module: nn.Module) -> Tensors:
    """Copies of all parameters and buffers, frozen and non-persistent ones included; tied tensors once.

    Unlike ``state_dict``, this is all that a forward pass depends on, and no two tensors share memory.
    """
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in named.items()}


@torch.no_grad()
def load_state(module: nn.Module, state: NamedTensors) -> None:
    """Copy a state into ``module``, in its own data types.

    Args:
        module: the network; changed.
        state: as from ``whole_state``, or a state dictionary: non-persistent buffers may be missing, and further names
            of tied tensors are ignored.

    Raises:
        ValueError: if a tensor is missing, unknown or of another shape.
    """
    own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    known = {*own, *(name for name, _ in _all_named(module))}
    persistent = module.state_dict().keys()
    missing = [name for name in own if name in persistent and name not in state]
    unknown = [name for name in state if name not in known]
    if missing or unknown:
        differences = f"missing: {', '.join(missing) or 'nothing'}; unknown: {', '.join(unknown) or 'nothing'}"
        raise ValueError(f"the state does not fit the model; {differences}")
    for name, tensor in own.items():
        if name in state and state[name].shape != tensor.shape:
            raise ValueError(
                f"{name} has shape {tuple(state[name].shape)} in the state, {tuple(tensor.shape)} in the model"
            )
    for name, tensor in own.items():
        if name in state:
            tensor.copy_(state[name])


def tied_names(module: nn.Module) -> dict[str, list[str]]:
    """First name -> further names of every parameter and buffer that has several."""
    first = {id(tensor): name for name, tensor in [*module.named_parameters(), *module.named_buffers()]}
    tied: dict[str, list[str]] = {}
    for name, tensor in _all_named(module):
        if name != first[id(tensor)]:
            tied.setdefault(first[id(tensor)], []).append(name)
    return tied


def _all_named(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers under every name."""
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


@contextmanager
def at_state(module: nn.Module, weights: NamedTensors, buffers: NamedTensors) -> Iterator[Tensors]:
    """Give ``module`` other weights and buffers inside the block, without copying; yields its trained parameters.

    The parameters stay the same objects, so that everything that refers to them sees the weights: tied layers,
    recurrent layers, parametrisations, hooks. The buffers are changed by the module as in training, in place or by
    assignment; ``buffers_of`` reads them inside the block.
    """
    parameters = dict(module.named_parameters())
    kept = {name: parameters[name].data for name in weights}
    places = [(module.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2], path) for path in _paths(module)]
    before = [(owner, leaf, owner._buffers[leaf]) for owner, leaf, _ in places]
    first = {id(tensor): name for name, tensor in module.named_buffers()}
    try:
        for name, value in weights.items():
            parameters[name].data = value
        for owner, leaf, own in before:
            if own is not None and first[id(own)] in buffers:
                owner._buffers[leaf] = buffers[first[id(own)]]
        yield {name: parameters[name] for name in weights}
    finally:
        for name, value in kept.items():
            parameters[name].data = value
        for owner, leaf, own in before:
            owner._buffers[leaf] = own


def called_with(module: nn.Module, tensors: NamedTensors, images: Tensor) -> Tensor:
    """Outputs of ``module`` with other weights and buffers, for ``torch.func``.

    Like ``functional_call``, which leaves the tensors in the module if one of its layers has two names.
    """
    owners = {(id(module.get_submodule(name.rpartition(".")[0])), name.rpartition(".")[2]) for name in tensors}
    first = {id(tensor): name for name, tensor in [*module.named_parameters(), *module.named_buffers()]}
    given = dict(tensors)
    for name, tensor in _all_named(module):
        path, _, leaf = name.rpartition(".")
        place = id(module.get_submodule(path)), leaf
        if place not in owners and first[id(tensor)] in tensors:
            owners.add(place)
            given[name] = tensors[first[id(tensor)]]
    outputs: Tensor = functional_call(module, given, (images,), tie_weights=False)
    return outputs


def _paths(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_buffers(remove_duplicate=False)]


def buffers_of(module: nn.Module) -> Tensors:
    """The current buffers, detached, not copied."""
    return {name: buffer.detach() for name, buffer in module.named_buffers()}


def precision(module: nn.Module) -> torch.dtype:
    """Data type of the first floating-point parameter, in which the network takes its images."""
    kinds = (parameter.dtype for parameter in module.parameters() if parameter.is_floating_point())
    return next(kinds, torch.float32)
