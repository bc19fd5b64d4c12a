"""A client's own images and the root of its random streams: from the run directory, or from the node's own folder.

A simulated client is told both by the server, which knows them anyway. A node of a deployment has a folder of its own,
which its ``--node-config`` names; neither images nor keys travel, and what the server says about folders is ignored.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Context, Message
from numpy.typing import NDArray

from fedleak import seeds
from fedleak.data.sources.base import LabelledImages
from fedleak.examples import KINDS
from fedleak.federation.wire import Instruction, instruction_of
from fedleak.transcript.files import save_array
from fedleak.version import __version__

FOLDER = "data"
"""Key of a node's configuration: its folder."""
KEY = "key"
"""Name of the file with the root of a client's streams; a node without one derives it from its images."""
PUBLIC = "public"
"""Name of the folder with the public images in a node's folder; needed only by some augmentations."""


def arrays(folder: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Images ``(N, C, H, W)`` and labels ``(N,)`` in a folder, mapped into memory."""
    return _arrays(folder, (Path(folder) / "images.npy").stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _arrays(folder: str, changed: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Images and labels, kept while their file is as it was ``changed`` (a time): a later run may use the folder."""
    return np.load(Path(folder) / "images.npy", mmap_mode="r"), np.load(Path(folder) / "labels.npy", mmap_mode="r")


def client_of(context: Context) -> int:
    """Number of this node's client."""
    return int(context.node_config["partition-id"])


def told_to(message: Message, context: Context) -> Instruction:
    """The instruction in a message, with the folder and the key of this client.

    Raises:
        ValueError: if a node of a deployment has no folder.
    """
    instruction = instruction_of(message)
    folder = _node_folder(context)
    if folder is not None:
        key = _key(folder, instruction.key, client_of(context))
        changes = {"data": str(folder), "public": str(folder / PUBLIC), "key": key}
        return instruction.model_copy(update=changes)
    if not instruction.data:
        raise ValueError(f"this node has no images; start it with --node-config 'partition-id=N {FOLDER}=\"FOLDER\"'")
    own = Path(instruction.data) / f"{client_of(context):05d}"
    return instruction.model_copy(update={"data": str(own)})


def identity(context: Context) -> ConfigRecord:
    """What a node says about itself: its client and, in a deployment, how many images it has, of which shape.

    A node that was dealt its images also says their fingerprint, so that stale ones are noticed.

    Raises:
        ValueError: if its images cannot be used.
    """
    folder = _node_folder(context)
    if folder is None:
        return ConfigRecord({"partition-id": client_of(context)})
    images, labels = arrays(str(folder))
    _check(folder, images, labels)
    said: dict[str, Any] = {"partition-id": client_of(context), "version": __version__}
    said |= {"images": len(labels), "shape": [int(size) for size in images.shape[1:]]}
    if (folder / KEY).exists():
        said["fingerprint"] = fingerprint(_dealt_key(folder), LabelledImages(images, labels))
    return ConfigRecord(said)


def fingerprint(key: str, data: LabelledImages) -> str:
    """HMAC-SHA256 of a client's images and labels under the root of its streams; who lacks that learns nothing."""
    digest = hmac.new(key.encode(), repr(data.images.shape).encode(), hashlib.sha256)
    digest.update(np.ascontiguousarray(data.images).data)
    digest.update(data.labels.astype("<i8").tobytes())
    return digest.hexdigest()


def write_node_folder(folder: Path, data: LabelledImages, *, key: str, public: LabelledImages | None = None) -> None:
    """Write what a node needs into a folder of mode 700.

    Args:
        folder: the folder; files in it are replaced.
        data: the client's images.
        key: root of the client's streams.
        public: the public images, for augmentations that need them.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    save_array(folder / "images.npy", data.images)
    save_array(folder / "labels.npy", data.labels)
    (folder / KEY).unlink(missing_ok=True)
    with os.fdopen(os.open(folder / KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key)
    if public is not None:
        (folder / PUBLIC).mkdir(exist_ok=True)
        save_array(folder / PUBLIC / "images.npy", public.images)
        save_array(folder / PUBLIC / "labels.npy", public.labels)


def _node_folder(context: Context) -> Path | None:
    named = context.node_config.get(FOLDER)
    return Path(str(named)) if named is not None else None


def _key(folder: Path, nonce: str, client: int) -> str:
    """The key that was dealt, or one that only who has the node's images can compute."""
    if (folder / KEY).exists():
        return _dealt_key(folder)
    images, labels = arrays(str(folder))
    return seeds.key(fingerprint("fedleak node", LabelledImages(images, labels)), nonce, client)


def _dealt_key(folder: Path) -> str:
    return (folder / KEY).read_text(encoding="ascii").strip()


def _check(folder: Path, images: NDArray[Any], labels: NDArray[Any]) -> None:
    if not any(images.ndim == 1 + len(kind.axes) and images.dtype == kind.stored for kind in KINDS):
        expected = " or ".join(f"{kind.stored} (N, {', '.join(kind.axes)})" for kind in KINDS)
        raise ValueError(f"{folder / 'images.npy'}: got {images.dtype} {images.shape}; expected {expected}")
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer) or not len(labels):
        raise ValueError(f"{folder / 'labels.npy'}: got {labels.dtype} {labels.shape}; expected ({len(images)},)")
