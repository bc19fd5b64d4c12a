"""Files that the attack stage writes for each attack."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from fedleak.errors import InputError
from fedleak.records import Record, load_optional, read_json, write_atomically
from fedleak.transcript.checksums import CHECKSUMS, Checksums
from fedleak.transcript.files import save_tensors
from fedleak.transcript.manifest import file_digest

RECORD = "attack.json"
LabelSource = Literal["inferred", "true", "attack", "none"]
"""Source of the labels: inferred from the update, granted, recovered together with the images, or none."""


class Attempt(Record):
    """The attack on one update."""

    row: int
    seconds: float
    status: Literal["ok", "failed"]
    reason: str = ""
    """Why it failed; of a successful attempt: why its images have no labels."""
    crashed: bool = False
    """Whether it failed by an error that the attack does not declare; such an attempt is repeated by the next run."""
    labels: tuple[int, ...] | None = None
    """Guessed labels, in the order of the images if the attack itself recovered them."""
    guessed_by_attack: bool = False
    """Whether the attack recovered the labels itself, together with the images."""
    curve: dict[str, list[float]] = {}


class AttackRecord(Record):
    """One finished attack."""

    fingerprint: str
    attack: str
    kind: str
    description: str
    settings: dict[str, object]
    capabilities: tuple[str, ...]
    adaptive: bool = False
    """Whether the attack took the clients' post-processing into account."""
    local_knowledge: str | None = None
    """Knowledge of the local training behind weight deltas: ``known_with_order``, ``known``, ``estimated``, ``assumed``
    or ``unknown``."""
    label_source: LabelSource
    training_seconds: float | None
    training_cached: bool
    peak_memory_bytes: int
    parameters: int | None
    curves: dict[str, list[float]]
    attempts: tuple[Attempt, ...]

    @property
    def rows(self) -> frozenset[int]:
        """Rows of the updates that were attacked."""
        return frozenset(attempt.row for attempt in self.attempts)


class PartFiles:
    """Reconstructions so far, in parts written during the attack, so that an interrupted attack loses little work.

    Args:
        folder: folder of the attack.
        fingerprint: content hash of the attack; parts with another fingerprint are removed.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = folder, fingerprint
        folder.mkdir(parents=True, exist_ok=True)
        self.attempts: dict[int, Attempt] = {}
        self._parts = 0
        for path in sorted(folder.glob("part-*.json")):
            self._adopt(path)
        for path in folder.glob("part-*.safetensors"):
            if not path.with_suffix(".json").exists():  # its writer was killed
                path.unlink()

    def _adopt(self, path: Path) -> None:
        try:
            raw = read_json(path)
            attempts = [Attempt.model_validate(item) for item in raw["attempts"]]
            if raw["fingerprint"] != self.fingerprint:
                raise ValueError("another attack's part")
            if not path.with_suffix(".safetensors").is_file():  # a pipe would be waited for
                raise ValueError("no regular file")
            if file_digest(path.with_suffix(".safetensors")) != raw.get("sha256"):
                raise ValueError("its images were changed")
        except (OSError, ValueError, TypeError, KeyError, ValidationError, SafetensorError):
            path.unlink()
            path.with_suffix(".safetensors").unlink(missing_ok=True)
            return
        self._parts = max(self._parts, int(path.stem.removeprefix("part-")) + 1)
        self.attempts |= {attempt.row: attempt for attempt in attempts}

    @property
    def done(self) -> frozenset[int]:
        """Rows of the updates that need not be attacked again."""
        return frozenset(row for row, attempt in self.attempts.items() if not attempt.crashed)

    def write(self, attempts: list[Attempt], images: dict[int, torch.Tensor]) -> None:
        """Add a part: attempts, and the images ``(B, C, H, W)`` of the successful ones."""
        path = self.folder / f"part-{self._parts:05d}.safetensors"
        save_tensors(path, {f"{row:08d}": tensor for row, tensor in images.items()})
        done = [attempt.model_dump(mode="json") for attempt in attempts]
        raw = {"fingerprint": self.fingerprint, "sha256": file_digest(path), "attempts": done}
        write_atomically(path.with_suffix(".json"), json.dumps(raw))
        self._parts += 1
        self.attempts |= {attempt.row: attempt for attempt in attempts}


def finish(folder: Path, record: AttackRecord) -> None:
    """Mark the attack as done, and keep the checksums of all its files."""
    text = record.model_dump_json(indent=1)
    names = [path.name for path in folder.iterdir() if path.suffix in {".safetensors", ".json"}]
    files = Checksums.of(folder, set(names) - {RECORD, CHECKSUMS}).files
    Checksums(files=files | {RECORD: hashlib.sha256(text.encode()).hexdigest()}).save(folder)
    write_atomically(folder / RECORD, text)


def load_record(folder: Path) -> AttackRecord | None:
    """The record of a finished attack; None if it is not finished.

    Raises:
        InputError: if it cannot be read.
    """
    return load_optional(folder / RECORD, AttackRecord, what="a readable record of an attack", remedy=_again(folder))


def check_files(folder: Path) -> None:
    """Compare every file of a finished attack with its checksum.

    Raises:
        InputError: naming the file that was changed or is missing, and what to do.
    """
    checksums = Checksums.load(folder)
    if checksums is None:
        raise InputError("RUN_DIR", str(folder / CHECKSUMS), f"the file is missing; {_again(folder)}")
    for name in checksums.files:
        checksums.check(folder, name, remedy=_again(folder))


def _again(folder: Path) -> str:
    return f"remove {folder} and attack again (fedleak attack RUN_DIR)"


def load_images(folder: Path) -> dict[int, torch.Tensor]:
    """Row of the update -> images ``(B, C, H, W)``.

    Raises:
        InputError: if a file cannot be read.
    """
    images: dict[int, torch.Tensor] = {}
    for path in sorted(folder.glob("part-*.safetensors")):
        try:
            images |= {int(name): tensor for name, tensor in load_file(path).items()}
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError("RUN_DIR", str(path), f"not readable reconstructions ({error})") from error
    return images
