"""Attacks that never ran, on a federation that did."""

from __future__ import annotations

import torch

from fedleak.stages.attack.record import AttackRecord, Attempt, PartFiles
from fedleak.stages.score.recorded import RecordedRun

FINGERPRINT = "by hand"


def attempt(row: int, **changes: object) -> Attempt:
    """An attack on the update in ``row`` that worked in two seconds."""
    return Attempt.model_validate({"row": row, "seconds": 2.0, "status": "ok"} | changes)


def failure(row: int, reason: str) -> Attempt:
    """An attack on the update in ``row`` that gave up after half a second."""
    return Attempt(row=row, seconds=0.5, status="failed", reason=reason)


def record(attack: str, *attempts: Attempt, **changes: object) -> AttackRecord:
    """The record of a finished attack."""
    plain = {
        "fingerprint": FINGERPRINT,
        "attack": attack,
        "kind": "dlg",
        "description": "By hand.",
        "settings": {"iterations": 1},
        "capabilities": ("shared_update",),
        "label_source": "none",
        "training_seconds": None,
        "training_cached": False,
        "peak_memory_bytes": 1000,
        "parameters": None,
        "curves": {},
        "attempts": attempts,
    }
    return AttackRecord.model_validate(plain | changes)


def keep_images(run: RecordedRun, attack: str, images: dict[int, torch.Tensor]) -> None:
    """Reconstructions, by row, in the files of the attack stage."""
    PartFiles(run.files.attacks / attack, FINGERPRINT).write([attempt(row) for row in images], images)
