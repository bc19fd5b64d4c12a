"""Writing a transcript while the federation runs, so that an interrupted run can be resumed.

Arrays are allocated before the first round. Every finished piece of work is one line in a journal, written after its
data. The manifest is written last and replaces the journal.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from fedleak.errors import FederationError
from fedleak.examples import kind_of
from fedleak.records import naming, parse_json, write_atomically
from fedleak.tensors import NamedTensors
from fedleak.transcript.files import save_array, save_tensors
from fedleak.transcript.layout import Layout
from fedleak.transcript.manifest import (
    MANIFEST,
    FederationRecord,
    Manifest,
    PairsRecord,
    RoundRecord,
    TrainingRecord,
    file_digest,
)
from fedleak.transcript.rows import RowFile, create_rows
from fedleak.version import __version__

JOURNAL = "journal.jsonl"
MEMORY = "memory"
"""Folder of the server state kept between rounds while the federation runs."""
MODELS = "models/"
"""Folder of the global models."""
SENT = "sent/"
"""Folder of the models sent to single clients instead of the broadcast one."""


def model_file(version: int) -> str:
    """Relative name of the global model after ``version`` rounds."""
    return f"{MODELS}version-{version:05d}.safetensors"


def memory_file(version: int) -> str:
    """Relative name of the state that the server's aggregation keeps after ``version`` rounds, during the run."""
    return f"{MEMORY}/version-{version:05d}.safetensors"


def sent_file(round_number: int, client: int) -> str:
    """Relative name of the model sent to a client in a round, if it differs from the broadcast one."""
    return f"{SENT}round-{round_number:05d}-client-{client:05d}.safetensors"


def statistics_file(row: int) -> str:
    """Relative name of the batch statistics behind the update in ``row``."""
    return f"statistics/row-{row:05d}.safetensors"


def _read_journal(path: Path) -> list[dict[str, Any]]:
    """The events up to the first line that is incomplete because of a kill or a full disk."""
    events: list[dict[str, Any]] = []
    if not path.is_file():
        return events
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            event = parse_json(line.encode())
        except ValueError:
            break
        if not line.endswith("\n") or not _is_event(event):
            break
        events.append(event)
    return events


def _is_event(event: object) -> bool:
    """Whether a journal's line is a head, a finished round, or a number of finished pairs."""
    if not isinstance(event, dict) or not isinstance(event.get("pairs_done", 0), int):
        return False
    try:
        return "round" not in event or RoundRecord.model_validate(event["round"]) is not None
    except ValidationError:
        return False


def _load(path: Path) -> NamedTensors:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise FederationError(f"{path}: damaged ({error}); start over with --force") from error


class TranscriptWriter:
    """Writer of an unfinished transcript.

    Args:
        folder: ``transcript/`` of the run; created if absent, continued if its journal has the same fingerprint.
        fingerprint: content hash of the scenario parts that the federation depends on.
        restart: start over even if there is a journal.
        crafting: settings of a malicious server; a run begun with other settings starts over.
    """

    def __init__(
        self, folder: Path, fingerprint: str, *, restart: bool = False, crafting: Mapping[str, Any] | None = None
    ) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self._crafting = crafting
        self.rounds: list[RoundRecord] = []
        self.pairs_done = 0
        self._updates: RowFile | None = None
        self._pairs: RowFile | None = None
        if restart:
            (folder / JOURNAL).unlink(missing_ok=True)
        self._replay_journal()

    def _replay_journal(self) -> None:
        path = self.folder / JOURNAL
        events = _read_journal(path)
        if not events or events[0] != self._head or not self._files_present(events):
            shutil.rmtree(self.folder, ignore_errors=True)
            (self.folder / "models").mkdir(parents=True)
            write_atomically(path, json.dumps(self._head) + "\n")
            return
        write_atomically(path, "".join(json.dumps(event) + "\n" for event in events))
        for event in events[1:]:
            if "round" in event:
                self.rounds.append(RoundRecord.model_validate(event["round"]))
            if "pairs_done" in event:
                self.pairs_done = event["pairs_done"]

    @property
    def _head(self) -> dict[str, Any]:
        """First line of the journal; a run begun by another version of fedleak starts over."""
        crafting = {} if self._crafting is None else {"crafting": dict(self._crafting)}
        return {"fingerprint": self.fingerprint, "fedleak": __version__, **crafting}

    def _files_present(self, events: list[dict[str, Any]]) -> bool:
        """Whether all files that the journal refers to exist; otherwise the run starts over."""
        needed: set[str] = set()
        remembered = None
        for event in events[1:]:
            if "round" in event:
                needed |= {"updates.npy", model_file(event["round"]["round"])}
                remembered = memory_file(event["round"]["round"]) if event.get("memory") else None
            if "pairs_done" in event:
                needed.add("pairs/updates.npy")
        if remembered:
            needed.add(remembered)
        return all((self.folder / name).is_file() for name in needed)

    def _log(self, event: dict[str, Any]) -> None:
        path = self.folder / JOURNAL
        with naming(path), path.open("a") as file:
            file.write(json.dumps(event) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def allocate(self, *, updates: int = 0, values: int) -> None:
        """Allocate ``updates`` rows of ``values`` float32 values; further rows are added when they are written."""
        self._updates = self._open("updates.npy", (updates, values), "float32")

    def allocate_pairs(self, index: NDArray[np.int64], *, values: int, dtype: str) -> None:
        """Allocate one pair per row of ``index`` ``(P, B)``, the indices of the injected public images."""
        (self.folder / "pairs").mkdir(exist_ok=True)
        save_array(self.folder / "pairs/index.npy", index)
        self._pairs = self._open("pairs/updates.npy", (len(index), values), dtype)

    def _open(self, name: str, shape: tuple[int, ...], dtype: str) -> RowFile:
        path = self.folder / name
        if not path.exists() or not (self.rounds or self.pairs_done):
            with naming(path):
                create_rows(path, shape, dtype)
        return RowFile(path, writable=True)

    def save_public(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        """Store the adversary's public images ``(N, C, H, W)`` and labels ``(N,)``.

        Raises:
            TypeError: if the images do not have the dtype of their kind; scale pixels to [0, 255] first.
        """
        kind = kind_of(images.shape[1:])
        if images.dtype != kind.stored:
            raise TypeError(f"public {kind.name} are {kind.stored}, not {images.dtype}")
        (self.folder / "public").mkdir(exist_ok=True)
        save_array(self.folder / "public/images.npy", images)
        save_array(self.folder / "public/labels.npy", labels)

    def save_model(self, version: int, state: NamedTensors) -> None:
        """Store the global model after ``version`` rounds."""
        self._save(model_file(version), state)

    def _save(self, name: str, state: NamedTensors) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        save_tensors(path, state)

    def load_model(self, version: int) -> NamedTensors:
        """Load a stored global model.

        Raises:
            FederationError: if it is damaged.
        """
        return _load(self.folder / model_file(version))

    def load_memory(self, version: int) -> NamedTensors:
        """State of the server's aggregation after ``version`` rounds; empty if there is none."""
        path = self.folder / memory_file(version)
        return _load(path) if path.is_file() else {}

    def write_pairs(self, start: int, rows: NDArray[np.float32]) -> None:
        """Store the updates of pairs ``start ..``; pairs are written in order."""
        if self._pairs is None:
            raise RuntimeError("allocate_pairs comes first")
        if self._pairs.dtype == np.float16 and np.abs(rows).max(initial=0.0) > np.finfo(np.float16).max:
            raise FederationError("an update exceeds the range of float16: set adversary.injection.dtype to float32")
        with naming(self.folder / "pairs/updates.npy"):
            self._pairs.write(start, rows)
            self._pairs.sync()
        self.pairs_done = start + len(rows)
        self._log({"pairs_done": self.pairs_done})

    def write_update(self, row: int, values: NDArray[np.float32]) -> None:
        """Store one update; it becomes valid when its round is finished."""
        if self._updates is None:
            raise RuntimeError("allocate comes first")
        with naming(self.folder / "updates.npy"):
            self._updates.grow(row + 1)
            self._updates.write(row, values[None])

    def write_statistics(self, row: int, statistics: NamedTensors) -> None:
        """Store the batch statistics behind one update, ``LAYER.mean`` and ``LAYER.var``."""
        self._save(statistics_file(row), statistics)

    def save_sent(self, round_number: int, client: int, state: NamedTensors) -> None:
        """Store the model sent to a client in a round instead of the broadcast one."""
        self._save(sent_file(round_number, client), state)

    def finish_round(self, record: RoundRecord, memory: NamedTensors | None = None) -> None:
        """Mark a round as done, and store the state that the server's aggregation keeps for the next one."""
        if self._updates is not None:
            with naming(self.folder / "updates.npy"):
                self._updates.sync()
        if memory:
            self._save(memory_file(record.round), memory)
        self.rounds.append(record)
        self._log({"round": record.model_dump(mode="json"), "memory": bool(memory)})
        (self.folder / memory_file(record.round - 1)).unlink(missing_ok=True)

    def finish(
        self,
        *,
        parameters: Layout,
        buffers: tuple[str, ...],
        pairs: PairsRecord | None,
        training: TrainingRecord,
        federation: FederationRecord,
    ) -> Manifest:
        """Compute the checksum of every array, write the manifest and delete the journal."""
        files = sorted(
            path.relative_to(self.folder).as_posix()
            for path in self.folder.rglob("*")
            if path.suffix in {".npy", ".safetensors"} and path.parent.name != MEMORY
        )
        manifest = Manifest(
            fingerprint=self.fingerprint,
            parameters=parameters,
            buffers=buffers,
            pairs=pairs,
            training=training,
            rounds=tuple(self.rounds),
            checksums={name: file_digest(self.folder / name) for name in files},
            **dict(federation),
        )
        write_atomically(self.folder / MANIFEST, manifest.model_dump_json(indent=1))
        shutil.rmtree(self.folder / MEMORY, ignore_errors=True)
        (self.folder / JOURNAL).unlink()
        return manifest
