"""The TensorBoard tracker."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fedleak.errors import TrackingError
from fedleak.trackers.base import TrackedEntry, Tracker
from fedleak.trackers.reach import unwritable

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard(Tracker):
    """TensorBoard: event files in a folder (default ``runs/tensorboard``), one sub-folder per entry."""

    kind: Literal["tensorboard"] = "tensorboard"
    needs: ClassVar[tuple[str, ...]] = ("tensorboard",)
    target: str = "runs/tensorboard"

    def obstacle(self) -> str:
        """Whether the folder can be made and written to."""
        return unwritable(Path(self.target))

    def log(self, entry: TrackedEntry) -> bool:
        """Write ``TARGET/<group>/<name>-<key>``, which appears once it is complete.

        Raises:
            TrackingError: if the folder cannot be written to.
        """
        folder = Path(self.target) / _slug(entry.group) / f"{_slug(entry.name)}-{entry.key[:8]}"
        partial = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            if folder.is_dir():
                return False
            _write(partial, entry)
            partial.replace(folder)
        except OSError as error:
            raise TrackingError(f"tensorboard: {folder}: {error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return True


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_=.-]+", "_", name).strip(".")[:120] or "_"


def _write(folder: Path, entry: TrackedEntry) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        _write_text(writer, entry)
        for name, interval in entry.scores.items():
            _scalar(writer, f"score/{name}", interval.mean)
            for end, value in (("low", interval.low), ("high", interval.high)):
                if value is not None:
                    _scalar(writer, f"score_{end}/{name}", value)
        for name, value in entry.costs.items():
            _scalar(writer, f"cost/{name}", value)
        for name, values in entry.curves.items():
            for step, value in enumerate(values, start=1):
                _scalar(writer, f"curve/{name}", value, step)
        for name, files in entry.pictures.items():
            writer.add_image(f"picture/{name}", _side_by_side(*files), dataformats="HWC")


def _scalar(writer: SummaryWriter, name: str, value: float, step: int = 0) -> None:
    writer.add_scalar(name, value, step)


def _write_text(writer: SummaryWriter, entry: TrackedEntry) -> None:
    table = "\n".join(f"| {path} | {_cell(value)} |" for path, value in entry.settings.items())
    facts = "\n\n".join(f"**{name}**: {text}" for name, text in entry.facts.items())
    for name, text in (
        ("settings", f"| path | value |\n|---|---|\n{table}" if table else ""),
        ("facts", facts),
        ("report", f"[{entry.report}]({entry.report_link})"),
    ):
        if text:
            writer.add_text(name, text)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _side_by_side(original: Path, reconstruction: Path) -> NDArray[np.uint8]:
    """Both images with a white line between them, ``(H, 2 W + 2, 3)``."""
    from PIL import Image

    left, right = (np.asarray(Image.open(path).convert("RGB")) for path in (original, reconstruction))
    line = np.full((left.shape[0], 2, 3), 255, dtype=np.uint8)
    return np.concatenate([left, line, right], axis=1)
