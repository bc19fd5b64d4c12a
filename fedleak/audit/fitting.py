"""Tensors from elsewhere, matched with a network's parameters and buffers: by name, or by order and shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from fedleak.audit.observed import Array, ObservedTensors, UnorderedTensors
from fedleak.errors import InputError, listed
from fedleak.models.state import trainable
from fedleak.tensors import Tensors

BY_ORDER = "matched by order and shape, not by name"
_Shapes = Mapping[str, tuple[int, ...]]


def matched(given: ObservedTensors, network: nn.Module, needed: Sequence[str], *, what: str) -> tuple[Tensors, str]:
    """Name in the network -> tensor on the CPU, for ``needed`` and all else of the network's state that is there.

    Args:
        given: by name, also with a common prefix as of ``DataParallel``; or, under other names or none, one for each
            entry of the ``state_dict``, each parameter, or each trained parameter, in the order of the network.
        needed: names that must be there, of floating-point tensors.
        what: the place, for messages.

    Returns:
        The tensors, and how they were matched if it was not by their own names.

    Raises:
        InputError: if they do not fit, naming what was found and what the network has.
    """
    own = _shapes(network)
    found, how = _named(given, network, own, needed, what)
    for name, tensor in found.items():
        if tuple(tensor.shape) != own[name]:
            raise InputError(f"{what}.{name}", tuple(tensor.shape), f"the model has {own[name]}")
    for name in needed:
        if not found[name].is_floating_point():
            kind = str(found[name].dtype).removeprefix("torch.")
            allowed = "expected floating-point values; encrypted, masked or encoded updates must be decoded first"
            raise InputError(f"{what}.{name}", kind, allowed)
    return found, how


def _named(
    given: ObservedTensors, network: nn.Module, own: _Shapes, needed: Sequence[str], what: str
) -> tuple[Tensors, str]:
    """The tensors under the network's names; their shapes may still be wrong if their names are right."""
    values = [_tensor(value, what) for value in (given.values() if isinstance(given, Mapping) else given)]
    if isinstance(given, Mapping):
        names = [str(name) for name in given]
        prefix = _prefix(names, own, needed)
        if prefix is not None:
            return (
                {name.removeprefix(prefix): value for name, value in zip(names, values, strict=True)},
                f"matched by name without the prefix {prefix!r}" if prefix else "",
            )
        if set(names) & own.keys() or isinstance(given, UnorderedTensors):
            raise _names_differ(what, names, own, needed)
    for order in (list(network.state_dict()), [n for n, _ in network.named_parameters()], list(trainable(network))):
        if [tuple(value.shape) for value in values] == [own[name] for name in order] and set(needed) <= set(order):
            return dict(zip(order, values, strict=True)), BY_ORDER
    raise _order_differs(what, values, network, own)


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    named = {**dict(network.named_parameters()), **dict(network.named_buffers()), **network.state_dict()}
    return {name: tuple(tensor.shape) for name, tensor in named.items()}


def _tensor(value: Array, what: str) -> Tensor:
    """A tensor on the CPU.

    Raises:
        InputError: if it is neither a tensor nor an array of plain numbers.
    """
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape))
    found = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
    raise InputError(what, found, "expected tensors, or arrays of numbers")


def _prefix(names: Sequence[str], own: _Shapes, needed: Sequence[str]) -> str | None:
    """The prefix without which all names are those of the network and hold the needed ones; None if there is none."""
    candidates = {"", *(name[: len(name) - len(needed[0])] for name in names if name.endswith(needed[0]))}
    for prefix in sorted(candidates, key=len):
        bare = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
        if len(bare) == len(names) and set(needed) <= bare <= own.keys():
            return prefix
    return None


def _names_differ(what: str, names: Sequence[str], own: _Shapes, needed: Sequence[str]) -> InputError:
    missing, unknown = [n for n in needed if n not in names], [n for n in names if n not in own]
    parts = [f"{title}: {listed(some)}" for title, some in (("missing", missing), ("unknown", unknown)) if some]
    return InputError(what, f"{len(names)} named tensors", f"they do not fit the model; {'; '.join(parts)}")


def _order_differs(what: str, values: Sequence[Tensor], network: nn.Module, own: _Shapes) -> InputError:
    """The first difference from the order that has as many tensors, or how many the network has."""
    state, parameters = list(network.state_dict()), [name for name, _ in network.named_parameters()]
    for order in (state, parameters, list(trainable(network))):
        if len(order) == len(values):
            wrong = next((i for i, name in enumerate(order) if own[name] != tuple(values[i].shape)), 0)
            allowed = f"the model has {own[order[wrong]]} there ({order[wrong]})"
            return InputError(f"{what}: tensor {wrong + 1} of {len(values)}", tuple(values[wrong].shape), allowed)
    allowed = (
        f"the names are not the model's, and the order does not fit either: it has {len(state)} tensors in its state, "
        f"{len(parameters)} of them parameters, the first {parameters[0]} {own[parameters[0]]}"
    )
    first = f", the first {tuple(values[0].shape)}" if values else ""
    return InputError(what, f"{len(values)} tensors{first}", allowed)
