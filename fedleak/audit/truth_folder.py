"""Ground truth written batch by batch, for updates whose images an audit may see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedleak.audit.observed import TrueBatch
from fedleak.errors import InputError
from fedleak.examples import LARGEST, InputShape
from fedleak.records import write_atomically
from fedleak.stages.score.truth import UPDATES, client_folder, seal_transcript
from fedleak.transcript.checksums import Checksums
from fedleak.transcript.rows import RowFile, create_rows

SLACK = 1e-3
"""How far pixels may lie outside [0, 1] because of rounding."""


class TruthFolder:
    """``truth/`` of a run: every client's images so far, and those behind each update.

    Args:
        folder: created with the first batch.
        shape: of one image.
        classes: number of classes.
    """

    def __init__(self, folder: Path, shape: InputShape, classes: int) -> None:
        self._folder, self._shape, self._classes = folder, shape, classes
        self._rows: dict[str, dict[str, list[int]]] = {}
        self._files: set[str] = set()

    def add(self, row: int, client: int, batch: TrueBatch) -> None:
        """Store the batch behind the update in ``row``.

        Raises:
            InputError: if images or labels do not fit the federation.
        """
        images, labels = stored_batch(batch, self._shape, self._classes)
        folder = client_folder(self._folder, client)
        folder.mkdir(parents=True, exist_ok=True)
        start = self._append(folder / "images.npy", images)
        self._append(folder / "labels.npy", labels)
        self._rows[str(row)] = {str(client): list(range(start, start + len(labels)))}

    def finish(self, transcript: Path) -> None:
        """Write the index and the checksums, if there is any truth."""
        if self._rows:
            write_atomically(self._folder / UPDATES, json.dumps(self._rows))
            Checksums.of(self._folder, [UPDATES, *self._files]).save(self._folder)
            seal_transcript(self._folder, transcript)

    def _append(self, path: Path, rows: NDArray[Any]) -> int:
        name = path.relative_to(self._folder).as_posix()
        if name not in self._files:
            self._files.add(name)
            create_rows(path, (0, *rows.shape[1:]), rows.dtype.name)
        file = RowFile(path, writable=True)
        start = len(file)
        file.grow(start + len(rows))
        file.write(start, rows)
        return start


def stored_batch(batch: TrueBatch, shape: InputShape, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images and labels as they are stored, uint8 ``(N, C, H, W)`` and int64 ``(N,)``.

    Raises:
        InputError: if they do not fit the federation.
    """
    images, labels = _pixels(batch.images, shape), _labels(batch.labels, classes)
    if len(images) != len(labels):
        raise InputError("truth", f"{len(images)} images, {len(labels)} labels", "expected one label per image")
    return images, labels


def _pixels(given: Any, shape: InputShape) -> NDArray[np.uint8]:
    images = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    if images.ndim != 4 or images.shape[1:] != tuple(shape) or not len(images):
        raise InputError("truth.images", images.shape, f"expected at least one image {tuple(shape)}")
    if images.dtype == np.uint8:
        return images
    low, high = (float(images.min()), float(images.max())) if images.dtype.kind == "f" else (np.nan, np.nan)
    if not (low >= -SLACK and high <= 1 + SLACK):
        found = f"{images.dtype} from {low:.3g} to {high:.3g}"
        raise InputError("truth.images", found, "expected uint8, or floating point in [0, 1], not normalised")
    return np.round(images.clip(0, 1) * LARGEST).astype(np.uint8)


def _labels(given: Any, classes: int) -> NDArray[np.int64]:
    labels = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InputError("truth.labels", f"{labels.dtype} {labels.shape}", "expected one integer per image")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise InputError("truth.labels", [int(labels.min()), int(labels.max())], f"labels are 0 to {classes - 1}")
    return labels.astype(np.int64)
