"""The cache of trained attacks, by content: the same pairs and settings are trained on once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from fedleak.attacks.base import Artefact
from fedleak.cache import cache_root
from fedleak.locks import waiting_lock


def cache_folder() -> Path:
    """Below the cache's root."""
    return cache_root() / "artefacts"


@contextmanager
def exclusive(key: str) -> Iterator[None]:
    """Let one process at a time find or make the artefact under ``key``; the lock goes however its holder ends."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with waiting_lock(folder / f"{key}.lock"):
        yield


def store(key: str, artefact: Artefact) -> None:
    """Keep an artefact under its content hash; concurrent writers of one key write the same thing."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{key}.{os.getpid()}"
    save_file(dict(artefact.tensors), temporary, metadata={"facts": json.dumps(artefact.facts)})
    temporary.replace(folder / f"{key}.safetensors")


def find(key: str) -> Artefact | None:
    """The artefact under ``key``; a damaged file counts as absent and is replaced by the next ``store``."""
    path = cache_folder() / f"{key}.safetensors"
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
        return Artefact(tensors=load_file(path), facts=facts)
    except (SafetensorError, ValueError, KeyError, TypeError):
        return None
