"""Content-addressed cache of trained attacks, so that the same pairs and settings are trained only once."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from fedleak.attacks.base import Artefact
from fedleak.cache import cache_root
from fedleak.locks import waiting_lock
from fedleak.transcript.files import save_tensors

METADATA = "artefact"
"""Entry of the file's metadata that holds everything except the tensors, as JSON."""


def cache_folder() -> Path:
    """Folder of the artefacts below the root of the cache."""
    return cache_root() / "artefacts"


@contextmanager
def exclusive(key: str) -> Iterator[None]:
    """Let one process at a time find or create the artefact of ``key``; the lock is released even after a crash."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with waiting_lock(folder / f"{key}.lock"):
        yield


def store(key: str, artefact: Artefact) -> None:
    """Store an artefact under its content hash; concurrent writers of one key write the same content.

    In the file, tensors are named ``parameters/NAME``, ``estimates/NAME`` and ``versions/NUMBER/NAME``.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"parameters/{name}": tensor for name, tensor in artefact.parameters.items()}
    tensors |= {f"estimates/{name}": tensor for name, tensor in artefact.estimates.items()}
    for version, some in artefact.by_version.items():
        tensors |= {f"versions/{version}/{name}": tensor for name, tensor in some.items()}
    rest = {
        "parameter_count": artefact.parameter_count,
        "curves": dict(artefact.curves),
        "facts": dict(artefact.facts),
        "training_seconds": artefact.training_seconds,
    }
    save_tensors(folder / f"{key}.safetensors", tensors, metadata={METADATA: json.dumps(rest)})


def keep(key: str, file: Path) -> None:
    """Copy the file of an artefact into the cache, unless the artefact is there."""
    folder = cache_folder()
    target, temporary = folder / f"{key}.safetensors", folder / f".{key}.{os.getpid()}"
    if not target.is_file() or not filecmp.cmp(target, file, shallow=False):
        shutil.copyfile(file, temporary)
        temporary.replace(target)


def find(key: str) -> Artefact | None:
    """The artefact of ``key``, or None; a damaged file counts as absent and is replaced by the next ``store``."""
    path = cache_folder() / f"{key}.safetensors"
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            rest = json.loads(file.metadata()[METADATA])
        return _assembled(load_file(path), rest)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def _assembled(tensors: Mapping[str, torch.Tensor], rest: Mapping[str, Any]) -> Artefact:
    """An artefact from its tensors, as named in the file, and the metadata."""
    named: dict[str, dict[str, torch.Tensor]] = {"parameters": {}, "estimates": {}}
    by_version: dict[int, dict[str, torch.Tensor]] = {}
    for path, tensor in tensors.items():
        group, name = path.split("/", 1)
        if group == "versions":
            version, name = name.split("/", 1)
            by_version.setdefault(int(version), {})[name] = tensor
        else:
            named[group][name] = tensor
    return Artefact(
        parameters=named["parameters"],
        parameter_count=int(rest["parameter_count"]),
        by_version=by_version,
        estimates=named["estimates"],
        curves=rest["curves"],
        facts=rest["facts"],
        training_seconds=float(rest["training_seconds"]),
    )
