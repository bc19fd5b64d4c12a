"""A user's checkpoint as the first global model."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fedleak.errors import InputError
from fedleak.models.state import load_state, tied_names

NAMED = 5
"""Largest number of names in a message."""


def load_checkpoint(network: nn.Module, path: Path) -> None:
    """Copy the state dictionary in a file into ``network``, in the network's own data types.

    Args:
        network: changed.
        path: a ``.safetensors`` file, or one that ``torch.load`` reads with ``weights_only=True``.

    Raises:
        InputError: if the file is not readable, holds no state dictionary, or does not fit the network.
    """
    found = _tensors(path, _content(path))
    for first, others in tied_names(network).items():
        present = [name for name in others if name in found]
        if first not in found and present:  # safetensors keeps a tied tensor under one of its names
            found[first] = found[present[0]]
    own = network.state_dict()
    aliases = {name for others in tied_names(network).values() for name in others}
    missing = [name for name in own if name not in found and name not in aliases]
    unknown = [name for name in found if name not in own]
    if missing or unknown:
        raise _refused(path, f"it does not fit the model{_differences(missing, unknown)}{_hint(own, found)}")
    for name, tensor in found.items():
        if tensor.shape != own[name].shape or tensor.is_floating_point() != own[name].is_floating_point():
            kinds = [f"{t.dtype} of shape {tuple(t.shape)}" for t in (tensor, own[name])]
            raise _refused(path, f"{name} is {kinds[0]}, in the model {kinds[1]}")
    load_state(network, found)


def _content(path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise _refused(path, "there is no such file") from error
    except pickle.UnpicklingError as error:
        reason = "it holds more than tensors, or is no torch file; save it with torch.save(model.state_dict(), FILE)"
        raise _refused(path, reason) from error
    except (OSError, EOFError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        kind = "safetensors file" if path.suffix == ".safetensors" else "torch file"
        raise _refused(path, f"it is not a readable {kind} ({error})") from error


def _tensors(path: Path, content: object) -> dict[str, Tensor]:
    """The content as a state dictionary."""
    if isinstance(content, Mapping) and content and all(_is_entry(*item) for item in content.items()):
        return {str(name): tensor for name, tensor in content.items()}
    found = f"a {type(content).__name__}"
    if isinstance(content, Mapping):
        found += f" with {_some([str(name) for name in content]) or 'nothing in it'}"
    raise _refused(path, f"it holds {found}, not a state dictionary: save torch.save(model.state_dict(), FILE)")


def _is_entry(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor)


def _differences(missing: list[str], unknown: list[str]) -> str:
    parts = [f"missing from the file: {_some(missing)}"] if missing else []
    parts += [f"unknown to the model: {_some(unknown)}"] if unknown else []
    return "; " + "; ".join(parts)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _hint(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """What to do if only a prefix of the names differs, as after ``DataParallel``."""
    prefixes = {name.partition(".")[0] + "." for name in found}
    if len(prefixes) == 1 and {name.partition(".")[2] for name in found} == own.keys():
        return f"; without the prefix {prefixes.pop()!r} the names fit"
    return ""


def _refused(path: Path, reason: str) -> InputError:
    return InputError("model.weights", str(path), reason)
