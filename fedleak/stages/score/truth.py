"""The ground truth, hidden from the adversary: the clients' images, and those behind each update.

Written by the federation, read by the clients (their own folder) and by scoring. Attacks never import it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from fedleak.errors import InputError, shorten
from fedleak.examples import KINDS, to_unit
from fedleak.records import read_json, write_atomically
from fedleak.transcript.checksums import Checksums
from fedleak.transcript.fields import LARGEST_COUNT
from fedleak.transcript.files import UNREADABLE, save_array
from fedleak.transcript.manifest import MANIFEST, file_digest

UPDATES = "updates.json"
RECORD_ANEW = "restore it, or record the federation anew (fedleak run SCENARIO --out RUN_DIR --force)"
ROWS = TypeAdapter(dict[int, dict[int, list[int]]])
"""Row of the transcript -> client -> indices of its images."""
MOST_PEERS = 20_000
"""Maximum number of images to compare with."""


@dataclass(frozen=True)
class Truth:
    """The batch behind one update or sum: images ``(B, C, H, W)`` float32 in [0, 1], labels ``(B,)``."""

    images: torch.Tensor
    labels: torch.Tensor
    places: tuple[tuple[int, int], ...] = ()
    """Client and index in the client's batch of each image; empty: the client that sent the update."""


def client_folder(folder: Path, client: int) -> Path:
    """Folder of the private images of a client."""
    return folder / f"{client:05d}"


def write_truth(
    folder: Path,
    *,
    images: Sequence[NDArray[np.uint8]],
    labels: Sequence[NDArray[np.int64]],
    rows: Mapping[int, Mapping[int, Sequence[int]]],
) -> None:
    """Store every client's private images and the indices of the images behind each planned update.

    Args:
        folder: target folder; images of an earlier run are removed.
        images: images of each client, ``(N, C, H, W)``.
        labels: labels of each client, ``(N,)``.
        rows: row of the transcript -> client -> indices of its images; a sum has several clients.
    """
    if (folder / UPDATES).exists():
        (folder / UPDATES).unlink()
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
    for client, (own, classes) in enumerate(zip(images, labels, strict=True)):
        target = client_folder(folder, client)
        target.mkdir(parents=True, exist_ok=True)
        save_array(target / "images.npy", own)
        save_array(target / "labels.npy", classes)
    named = {str(row): {str(client): list(places) for client, places in of.items()} for row, of in rows.items()}
    write_atomically(folder / UPDATES, json.dumps(named))
    clients = [client_folder(folder, client).name for client in range(len(images))]
    arrays = [f"{client}/{array}.npy" for client in clients for array in ("images", "labels")]
    Checksums.of(folder, [UPDATES, *arrays]).save(folder)


def seal_transcript(folder: Path, transcript: Path) -> None:
    """Keep a finished transcript's manifest, and its checksum, beside the truth that belongs to it; once."""
    found = Checksums.load(folder)
    if found is not None and MANIFEST not in found.files:
        write_atomically(folder / MANIFEST, (transcript / MANIFEST).read_text(encoding="utf-8"))
        digest = file_digest(transcript / MANIFEST)
        found.model_copy(update={"transcript": digest, "files": found.files | {MANIFEST: digest}}).save(folder)


class TruthReader:
    """Reader of the ground truth of a run; each file is compared with its checksum before it is first used.

    Attributes:
        sealed: whether there are checksums, as in every run of fedleak; truth written by hand has none.

    Raises:
        InputError: if the run directory has no ground truth, or it was changed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._checksums = Checksums.load(folder)
        self._verified: set[str] = set()
        self.sealed = self._checksums is not None
        self._verify(UPDATES)
        try:
            self._rows = ROWS.validate_python(read_json(folder / UPDATES))
        except (OSError, ValueError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise InputError("truth", str(folder), f"the run has no readable ground truth ({reason})") from error

    def check_transcript(self, transcript: Path) -> None:
        """Compare the manifest of the transcript with the one that was recorded together with this truth.

        Raises:
            InputError: if it was changed.
        """
        kept = self._checksums.transcript if self._checksums is not None else None
        path = transcript / MANIFEST
        if kept is None or file_digest(path) == kept:
            return
        self._verify(MANIFEST)
        place, before, now = first_difference(read_json(self._folder / MANIFEST), read_json(path))
        where = f"transcript{place}" if place else str(path)
        raise InputError(where, now, f"it was {shorten(before)} when the federation ended; {path}: {RECORD_ANEW}")

    def knows(self, row: int, clients: Sequence[int]) -> bool:
        """Whether the images of these clients behind the update in ``row`` are known."""
        return self._rows.get(row, {}).keys() >= set(clients)

    def batch(self, row: int, clients: Sequence[int] = ()) -> Truth:
        """The images and labels behind the update in ``row``.

        Args:
            row: row of the transcript.
            clients: clients included in the sum (default: all planned ones).

        Raises:
            InputError: if there are none, or they were changed or cannot be read.
        """
        planned = self._rows.get(row, {})
        chosen = list(clients) or sorted(planned)
        if not chosen or not planned.keys() >= set(chosen):
            allowed = f"it names no images of clients {chosen} for row {row} of the transcript; {RECORD_ANEW}"
            raise InputError("RUN_DIR", str(self._folder / UPDATES), allowed)
        parts, places = [], []
        for client in chosen:
            images, labels = self._arrays(client_folder(self._folder, client).name)
            index = planned[client]
            if not index or not 0 <= min(index) <= max(index) < len(labels):
                allowed = f"client {client} holds {len(labels)} images; row {row} names others"
                raise InputError("RUN_DIR", str(self._folder / UPDATES), allowed)
            parts.append((to_unit(images[index]).numpy(), labels[index].astype(np.int64)))
            places += [(client, place) for place in range(len(index))]
        both = [torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*parts, strict=True)]
        return Truth(both[0], both[1], tuple(places))

    def _arrays(self, client: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images ``(N, C, H, W)`` and labels ``(N,)`` in the folder of a client, mapped into memory."""
        images, labels = self._array(f"{client}/images.npy"), self._array(f"{client}/labels.npy")
        path = self._folder / client
        if not any(images.ndim == 1 + len(kind.axes) and images.dtype == kind.stored for kind in KINDS):
            expected = " or ".join(f"{kind.stored} (N, {', '.join(kind.axes)})" for kind in KINDS)
            allowed = f"its images are {images.dtype} {images.shape}; expected {expected}"
            raise InputError("RUN_DIR", str(path), allowed)
        if not np.issubdtype(labels.dtype, np.integer) or labels.shape != images.shape[:1]:
            allowed = f"its labels are {labels.dtype} {labels.shape}; expected integers ({len(images)},)"
            raise InputError("RUN_DIR", str(path), allowed)
        if labels.size and not 0 <= labels.min() <= labels.max() <= LARGEST_COUNT:
            raise InputError(
                "RUN_DIR", str(path), f"its labels are {labels.min()} to {labels.max()}; classes count from 0"
            )
        return images, labels

    def _array(self, name: str) -> NDArray[Any]:
        self._verify(name)
        try:
            array: NDArray[Any] = np.load(self._folder / name, mmap_mode="r", allow_pickle=False)
        except UNREADABLE as error:
            raise InputError("RUN_DIR", str(self._folder / name), f"not a readable array ({error})") from error
        return array

    def _verify(self, name: str) -> None:
        if self._checksums is not None and name not in self._verified:
            self._checksums.check(self._folder, name, remedy=RECORD_ANEW)
            self._verified.add(name)

    def peers(self) -> Truth:
        """At most ``MOST_PEERS`` images of all clients, one of each client in turn: ``(N, C, H, W)`` and ``(N,)``."""
        folders = sorted(path.name for path in self._folder.iterdir() if path.is_dir())
        arrays = [self._arrays(name) for name in folders]
        order = sorted((i, client) for client, (_, own) in enumerate(arrays) for i in range(len(own)))[:MOST_PEERS]
        chosen = np.stack([arrays[client][0][i] for i, client in order])
        labels = np.array([arrays[client][1][i] for i, client in order], dtype=np.int64)
        return Truth(to_unit(chosen), torch.from_numpy(labels))


def first_difference(before: Any, now: Any) -> tuple[str, Any, Any]:
    """The path of the first value in which two JSON values differ, and both values; an empty path if they are equal."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = dict.fromkeys([*before, *now])
        pairs = {f".{name}": (before.get(name), now.get(name)) for name in names}
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = {f".{place}": pair for place, pair in enumerate(zip(before, now, strict=True))}
    else:
        return "", before, now
    for place, (old, new) in pairs.items():
        if old != new:
            deeper, left, right = first_difference(old, new)
            return place + deeper, left, right
    return "", before, now
