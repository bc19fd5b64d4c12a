"""The state of the updates under attack, kept so that an interruption does not lose it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from fedleak.records import read_json, write_atomically
from fedleak.snapshots import State
from fedleak.tensors import Tensors
from fedleak.transcript.files import save_tensors
from fedleak.transcript.manifest import file_digest

NAME = "unfinished"
_TENSOR = "tensor"


class Unfinished:
    """Keeps the searches of one call of an attack in ``unfinished.safetensors`` and ``unfinished.json``.

    Args:
        folder: folder of the attack.
        fingerprint: content hash of the attack; the state of another one is not used.
        rows: the updates under attack.
        written: called after every write.

    Attributes:
        seconds: spent on these updates by earlier processes.
    """

    def __init__(self, folder: Path, fingerprint: str, rows: Sequence[int], written: Callable[[], None]) -> None:
        self._record, self._tensors = folder / f"{NAME}.json", folder / f"{NAME}.safetensors"
        self._title: dict[str, Any] = {"fingerprint": fingerprint, "rows": list(rows)}
        self._written, self._begun = written, time.perf_counter()
        self.seconds, self._states = self._read()

    def _read(self) -> tuple[float, Mapping[int, State]]:
        """Time spent and states of an earlier process; nothing if there are none, or none of these updates."""
        try:
            raw = read_json(self._record)
            if {name: raw[name] for name in self._title} != self._title:
                return 0.0, {}
            if not self._tensors.is_file() or file_digest(self._tensors) != raw["sha256"]:
                return 0.0, {}
            # Views of a file are not aligned as new tensors are, and kernels add up in another order then.
            tensors = {name: tensor.clone() for name, tensor in load_file(self._tensors).items()}
            return float(raw["seconds"]), {int(n): _filled(state, tensors) for n, state in raw["loops"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, SafetensorError):
            return 0.0, {}  # none was written, or not to its end

    def load(self) -> Mapping[int, State]:
        """The states of an earlier process."""
        return self._states

    def save(self, states: Mapping[int, State]) -> None:
        """Replace the files."""
        tensors: Tensors = {}
        loops = {str(number): _emptied(state, tensors) for number, state in states.items()}
        save_tensors(self._tensors, tensors)
        seconds = self.seconds + time.perf_counter() - self._begun
        raw = self._title | {"sha256": file_digest(self._tensors), "seconds": seconds, "loops": loops}
        write_atomically(self._record, json.dumps(raw))
        self._written()


def remove_unfinished(folder: Path) -> None:
    """Forget the state of the updates that were under attack."""
    for suffix in ("json", "safetensors"):
        (folder / f"{NAME}.{suffix}").unlink(missing_ok=True)


def _emptied(state: Any, tensors: Tensors) -> Any:
    """The state with numbers of tensors instead of tensors, which are added to ``tensors``."""
    if isinstance(state, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = state.detach().to("cpu", copy=True)
        return {_TENSOR: name}
    if isinstance(state, Mapping):
        return {name: _emptied(value, tensors) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return [_emptied(value, tensors) for value in state]
    return state


def _filled(state: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The reverse of ``_emptied``."""
    if isinstance(state, dict):
        if state.keys() == {_TENSOR}:
            return tensors[state[_TENSOR]]
        return {name: _filled(value, tensors) for name, value in state.items()}
    if isinstance(state, list):
        return [_filled(value, tensors) for value in state]
    return state
