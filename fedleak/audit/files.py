"""Tensors in a user's files: ``.pt`` (weights only), ``.safetensors`` and ``.npz``; no pickle is loaded."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from fedleak.audit.observed import UnorderedTensors
from fedleak.errors import InputError, listed

SUFFIXES = (".pt", ".pth", ".safetensors", ".npz")
Content = Any
"""Tensors by name, tensors in order, or a mapping of these."""


def read_tensors(path: Path, *, option: str) -> Content:
    """What is in a file: tensors (or arrays) by name or in order, and for ``.pt`` mappings and numbers around them.

    Args:
        path: the file; its suffix says what it is.
        option: of the command line, for messages.

    Raises:
        InputError: if it is missing, of another format, or cannot be read without running code.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(option, str(path), f"expected one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise InputError(option, str(path), "there is no such file")
    try:
        return {".npz": _npz, ".safetensors": _safetensors}.get(path.suffix, _torch)(path)
    except pickle.UnpicklingError as error:
        allowed = "it holds more than tensors, lists, mappings and numbers: save torch.save(tensors, FILE)"
        raise InputError(option, str(path), allowed) from error
    except Exception as error:  # torch's unpickler raises anything for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(option, str(path), f"it is not a readable {path.suffix} file ({reason})") from error


def _torch(path: Path) -> Content:
    return torch.load(path, map_location="cpu", weights_only=True)


def _safetensors(path: Path) -> Content:
    with safe_open(path, framework="pt") as file:
        return UnorderedTensors({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


def _npz(path: Path) -> Content:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def part(content: Content, name: str) -> Content | None:
    """What a file holds under ``name``, or under names that begin with it and a dot or slash; None if nothing."""
    if not isinstance(content, Mapping):
        return None
    if name in content:
        return content[name]
    for mark in (".", "/"):
        start = name + mark
        found = [(str(key).removeprefix(start), value) for key, value in content.items() if _begins(key, start)]
        if found:
            return UnorderedTensors(found) if isinstance(content, UnorderedTensors) else dict(found)
    return None


def _begins(key: object, start: str) -> bool:
    return isinstance(key, str) and key.startswith(start)


def plain_tensors(content: Content, *, option: str, path: Path) -> Mapping[str, Any] | list[Any]:
    """The content as tensors by name or in order.

    Raises:
        InputError: if it is something else, saying what was found.
    """
    values = list(content.values()) if isinstance(content, Mapping) else content
    if isinstance(values, list | tuple) and values and all(isinstance(value, Tensor | np.ndarray) for value in values):
        return content if isinstance(content, Mapping) else list(values)
    allowed = "expected tensors by name, or a list of tensors in the order of the model's state or parameters"
    raise InputError(option, str(path), f"it holds {_what(content)}; {allowed}")


def _what(content: Content) -> str:
    if isinstance(content, Mapping) and content:
        kinds = sorted({type(value).__name__ for value in content.values()})
        return f"a mapping of {', '.join(kinds)} under {listed([str(key) for key in content])}"
    if isinstance(content, list | tuple) and content:
        return f"a {type(content).__name__} of {', '.join(sorted({type(value).__name__ for value in content}))}"
    return "nothing" if isinstance(content, Mapping | list | tuple) else f"a {type(content).__name__}"
