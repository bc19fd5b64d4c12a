"""Everything that can be reached from an object by attributes, items, closures and references."""

from __future__ import annotations

import gc
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch


def children(value: object) -> Iterator[object]:
    """What an object leads to: attributes, slots, items, closures, and whatever the garbage collector knows."""
    yield from vars(value).values() if hasattr(value, "__dict__") else ()
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, slot):
                yield getattr(value, slot)
    if isinstance(value, Mapping):
        yield from (*value.keys(), *value.values())
    yield from array_children(value)
    if isinstance(value, types.FunctionType):
        yield from (cell.cell_contents for cell in value.__closure__ or ())  # its globals are those of its module
    else:
        yield from gc.get_referents(value)


def array_children(value: object) -> Iterator[object]:
    """What tensors, their graphs and arrays keep where the garbage collector does not look."""
    if isinstance(value, torch.Tensor):
        yield from (value.grad, value.grad_fn, value._base)
    if isinstance(value, torch.autograd.graph.Node):
        yield from (value.next_functions, getattr(value, "variable", None))
        yield from (getattr(value, name) for name in dir(value) if name.startswith("_saved_"))
    if isinstance(value, np.ndarray):
        yield value.base


def is_code(value: object) -> bool:
    """Modules, classes and built-ins: the program, not what the attack was given."""
    return isinstance(value, types.ModuleType | type | types.BuiltinFunctionType | types.CodeType | types.FrameType)


def reachable(*roots: object) -> list[object]:
    """Everything that can be reached from ``roots``."""
    seen: dict[int, object] = {}
    waiting = list(roots)
    while waiting:
        value = waiting.pop()
        if id(value) in seen or is_code(value):
            continue
        seen[id(value)] = value
        waiting += list(children(value))
    return list(seen.values())


def memory(value: torch.Tensor | np.ndarray[Any, Any]) -> tuple[int, int]:
    """First and last address of the storage."""
    if isinstance(value, torch.Tensor):
        storage = value.untyped_storage()
        return storage.data_ptr(), storage.data_ptr() + storage.nbytes()
    while isinstance(value.base, np.ndarray):
        value = value.base
    return np.lib.array_utils.byte_bounds(value)


def arrays(values: list[object]) -> list[torch.Tensor | np.ndarray[Any, Any]]:
    """Tensors and arrays that hold anything."""
    found = [v for v in values if isinstance(v, torch.Tensor | np.ndarray)]
    return [v for v in found if (v.numel() if isinstance(v, torch.Tensor) else v.size)]


def overlap(first: object, second: object) -> bool:
    """Whether any arrays reachable from the two share memory."""
    spans = [[memory(v) for v in arrays(reachable(root))] for root in (first, second)]
    return any(a < d and c < b for a, b in spans[0] for c, d in spans[1])
