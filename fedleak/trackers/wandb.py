"""The Weights & Biases tracker."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

from fedleak.errors import TrackingError
from fedleak.records import write_atomically
from fedleak.trackers.base import TrackedEntry, Tracker
from fedleak.trackers.reach import first_line, unwritable

if TYPE_CHECKING:
    from wandb import Run

LOGGED = "fedleak-logged"
"""Folder below the target with one file for each entry that was logged."""
LONGEST_PROJECT, LONGEST_ID = 128, 16


class Wandb(Tracker):
    """Weights & Biases: a project for each study or scenario, a run for each entry; offline unless told otherwise.

    ``target`` is the folder of the runs (default ``runs/wandb``), whose content ``wandb sync`` uploads later.
    ``online:ENTITY`` logs to that account or team at once, by the login of ``wandb login``.
    """

    kind: Literal["wandb"] = "wandb"
    needs: ClassVar[tuple[str, ...]] = ("wandb",)
    target: str = "runs/wandb"

    @property
    def entity(self) -> str | None:
        """The account or team that is logged to at once; None offline."""
        mode, _, name = self.target.partition(":")
        return name if mode == "online" else None

    @property
    def folder(self) -> Path:
        """Where runs are written before they are uploaded, and what was logged."""
        return Path("runs/wandb") if self.entity is not None else Path(self.target)

    def obstacle(self) -> str:
        """Whether the folder can be written to and, online, there is a login."""
        if reason := unwritable(self.folder):
            return reason
        if self.entity is None:
            return ""
        if not self.entity:
            return "expected online:ENTITY, an account or team; or a folder to log offline"
        return "" if _is_logged_in() else "there is no login; run 'wandb login', or log offline to a folder"

    def log(self, entry: TrackedEntry) -> bool:
        """Log an entry, once for each target.

        Raises:
            TrackingError: if the run cannot be written, or the service refuses it.
        """
        mark = self.folder / LOGGED / f"{_digest(f'{self.target} {entry.key}')}.json"
        if mark.is_file():
            return False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _log(entry, folder=self.folder, entity=self.entity)
            mark.parent.mkdir(exist_ok=True)
            write_atomically(mark, json.dumps({"key": entry.key, "name": entry.name, "group": entry.group}))
        except _errors() as error:
            raise TrackingError(f"wandb: {first_line(error)}") from error
        return True


def _errors() -> tuple[type[Exception], ...]:
    """What the library raises."""
    return _library().Error, OSError, ValueError


def _library() -> Any:
    """The library. By itself it reports its use and errors to its makers, even offline; a variable turns that off."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    return wandb


def _is_logged_in() -> bool:
    """Whether the places where the library looks for a login have one for its server; what it is stays unread."""
    wandb = _library()

    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        known = netrc(os.environ.get("NETRC")).hosts
    except (OSError, NetrcParseError):
        return False
    return urlsplit(str(wandb.Settings().base_url)).hostname in known


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:LONGEST_ID]


def _log(entry: TrackedEntry, *, folder: Path, entity: str | None) -> None:
    wandb = _library()

    run = wandb.init(
        project=_project(entry.group),
        entity=entity,
        name=entry.name,
        id=_digest(entry.key),
        dir=str(folder),
        mode="offline" if entity is None else "online",
        config=dict(entry.settings),
        notes="\n".join(f"{name}: {text}" for name, text in entry.facts.items()),
        settings=_quiet(),
        reinit="create_new",
    )
    try:
        _write(run, entry)
    finally:
        run.finish()


def _quiet() -> Any:
    """Nothing about the machine, its packages or the working folder is recorded, and nothing is printed."""
    wandb = _library()

    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )


def _write(run: Run, entry: TrackedEntry) -> None:
    wandb = _library()

    for step, values in enumerate(_steps(entry), start=1):
        run.log(values, step=step)
    for name, value in _summary(entry):
        run.summary[name] = value
    pictures = {
        f"picture/{name}": [wandb.Image(str(file), caption=words) for file, words in zip(files, _CAPTIONS, strict=True)]
        for name, files in entry.pictures.items()
    }
    if pictures:
        run.log(pictures)
    if entry.report.is_file():
        run.save(str(entry.report), base_path=str(entry.report.parent), policy="now")


_CAPTIONS = ("original", "reconstruction")


def _summary(entry: TrackedEntry) -> Iterator[tuple[str, Any]]:
    """The report's address and facts, and scores with their intervals and costs as far as they are finite."""
    yield "report", entry.report_link
    for name, text in entry.facts.items():
        yield f"fact/{name}", text
    for name, interval in entry.scores.items():
        for end, value in ((name, interval.mean), (f"{name}_low", interval.low), (f"{name}_high", interval.high)):
            if value is not None and math.isfinite(value):
                yield f"score/{end}", value
    for name, value in entry.costs.items():
        yield f"cost/{name}", value


def _steps(entry: TrackedEntry) -> Iterator[dict[str, float]]:
    """One value of each curve for each step."""
    for step in range(max((len(values) for values in entry.curves.values()), default=0)):
        found = {f"curve/{name}": values[step] for name, values in entry.curves.items() if step < len(values)}
        yield {name: value for name, value in found.items() if math.isfinite(value)}


def _project(group: str) -> str:
    """A name that the service accepts: without its reserved characters."""
    return "".join("_" if letter in "/\\#?%:" else letter for letter in group)[:LONGEST_PROJECT] or "fedleak"
