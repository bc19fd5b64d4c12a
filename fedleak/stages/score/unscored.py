"""Reconstructions of updates whose images nobody knows: shown, not scored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from fedleak.results.convergence import KEPT_LOSS, MATCHING_LOSS, finite_values
from fedleak.results.schema import PICTURES, Picture, ResultRow
from fedleak.stages.attack.record import AttackRecord, Attempt, load_images
from fedleak.stages.score.pictures import COMPARED, save_rebuilt
from fedleak.stages.score.recorded import RecordedRun

NAMED = 8
"""Labels of a batch that are listed."""
NO_TRUTH = "not scored: there is no ground truth for this update"


def unscored(run: RecordedRun, record: AttackRecord) -> tuple[list[ResultRow], tuple[Picture, ...]]:
    """One row without metrics for each reconstruction that has no ground truth, and pictures of the first ones."""
    rows: list[ResultRow] = []
    shown: list[Picture] = []
    folder: Path = run.files.root / PICTURES
    for attempt, place, image in _rebuilt(run, record):
        rows.append(_row(run, record, attempt, place))
        if len(shown) < COMPARED:
            shown.append(save_rebuilt(folder, rows[-1], image.clamp(0, 1), note=_labels(record, attempt, place)))
    return rows, tuple(shown)


def _rebuilt(run: RecordedRun, record: AttackRecord) -> Iterator[tuple[Attempt, int, Tensor]]:
    """Every image without an original: its attempt and its place in the batch."""
    attempts = [a for a in record.attempts if a.status == "ok" and a.row not in run.scored]
    images = load_images(run.files.attacks / record.attack) if attempts else {}
    for attempt in attempts:
        for place, image in enumerate(images.get(attempt.row, ())):
            yield attempt, place, image


def _labels(record: AttackRecord, attempt: Attempt, place: int) -> str:
    """The guessed label of an image, or those of its batch if nobody says which is whose."""
    labels = attempt.labels or ()
    if not labels:
        return ""
    if len(labels) == 1 or (record.label_source == "attack" and place < len(labels)):
        return f"label {labels[place if len(labels) > 1 else 0]}"
    return f"labels in the batch: {', '.join(map(str, labels[:NAMED]))}{', ...' if len(labels) > NAMED else ''}"


def _row(run: RecordedRun, record: AttackRecord, attempt: Attempt, place: int) -> ResultRow:
    """The row of one image; labels of the batch as a whole stand in their own order."""
    update, losses = run.updates[attempt.row], finite_values(attempt.curve.get(MATCHING_LOSS, ()))
    kept = next(iter(attempt.curve.get(KEPT_LOSS, ())), None)
    labels = attempt.labels or ()
    return ResultRow(
        attack=record.attack,
        kind=record.kind,
        victim=update.client,
        round=update.round,
        image=place,
        summed=update.summed,
        label_guess=labels[place] if place < len(labels) else None,
        seconds=attempt.seconds,
        encoded_bytes=update.bytes,
        matching_loss=min(losses, default=None) if kept is None else kept,
        matching_loss_start=losses[0] if losses else None,
        reason=NO_TRUTH,
    )
