"""``running.json``: what a process is doing in a directory of a run or study, for onlookers. Torch-free.

The file is there while the process works and is removed when it ends. A process that was killed leaves it behind;
``is_alive`` tells the two apart.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import Field, ValidationError

from fedleak.progress import Progress, Task
from fedleak.records import Record, read_json

RUNNING_JSON = "running.json"
WRITE_SECONDS = 1.0
"""Least time between two writes."""
STALE_SECONDS = 600.0
"""Age after which a file that another machine wrote counts as left behind."""
CLOCK_SECONDS = 2.0
"""Tolerance when start times of processes are compared."""
MOST_TASKS = 4
"""Tasks that are kept: those begun last."""
_NUMBERS = itertools.count()
_FILES: dict[int, Path] = {}
"""Number of a progress -> its file: an attack in this process is given the progress, which must not lead to the run."""


class RunningTask(Record):
    """One task of the process, such as the epochs of a training."""

    description: str
    total: int
    done: int = 0
    note: str = ""


class Running(Record):
    """A process and how far it is."""

    host: str
    pid: int
    started: float
    """When the process started, in seconds since 1970."""
    begun: datetime
    """When it began to work in this directory."""
    updated: datetime
    message: str = ""
    """The last line that it said."""
    tasks: tuple[RunningTask, ...] = Field(default=(), max_length=MOST_TASKS)

    @property
    def is_alive(self) -> bool:
        """Whether the process works still; on another machine: whether it wrote the file in the last minutes."""
        if self.host != socket.gethostname():
            return (datetime.now(UTC) - self.updated).total_seconds() < STALE_SECONDS
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) < CLOCK_SECONDS
        except psutil.Error:
            return False

    @property
    def text(self) -> str:
        """The unfinished task that was begun last, with its note; else the last line."""
        for task in reversed(self.tasks):
            if task.done < task.total:
                note = f", {task.note}" if task.note else ""
                return f"{task.description}: {task.done} of {task.total}{note}"
        return self.message


def load_running(folder: Path) -> Running | None:
    """What is going on in a directory; None if nothing is, or the file cannot be read."""
    try:
        found = Running.model_validate(read_json(folder / RUNNING_JSON))
    except (OSError, ValueError, ValidationError):
        return None
    return found if found.is_alive else None


class _SharedTask:
    def __init__(self, shared: SharedProgress, inner: Task, number: int) -> None:
        self._shared, self._inner, self._number = shared, inner, number

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Advance the bar, and the task in the file."""
        self._inner.advance(steps, note=note)
        self._shared.advance(self._number, steps, note)


class SharedProgress:
    """Progress that is also written to ``running.json``.

    Args:
        folder: where the file is; it must exist.
        inner: the progress to which everything is forwarded.
    """

    def __init__(self, folder: Path, inner: Progress) -> None:
        self._number, self._inner = next(_NUMBERS), inner
        _FILES[self._number] = folder / RUNNING_JSON
        self._begun, self._written = datetime.now(UTC), -WRITE_SECONDS
        self._tasks: dict[int, RunningTask] = {}
        self._message = ""

    def task(self, description: str, total: int) -> Task:
        """A new bar."""
        number = len(self._tasks)
        self._tasks[number] = RunningTask(description=description, total=total)
        self._write()
        return _SharedTask(self, self._inner.task(description, total), number)

    def say(self, message: str) -> None:
        """Forward a line."""
        self._inner.say(message)
        self._message = message
        self._write()

    def advance(self, number: int, steps: int, note: str) -> None:
        """Advance a task of the file."""
        task = self._tasks[number]
        self._tasks[number] = task.model_copy(update={"done": task.done + steps, "note": note or task.note})
        self._write()

    def set(self, description: str, *, done: int, total: int, note: str = "") -> None:
        """Let one task of the file, which has no bar, be at ``done`` of ``total``."""
        self._tasks = {0: RunningTask(description=description, total=total, done=done, note=note)}
        self._write()

    def _write(self) -> None:
        path = _FILES.get(self._number)
        if path is None or time.monotonic() - self._written < WRITE_SECONDS:
            return
        self._written = time.monotonic()
        found = Running(
            host=socket.gethostname(),
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            begun=self._begun,
            updated=datetime.now(UTC),
            message=self._message,
            tasks=tuple(self._tasks.values())[-MOST_TASKS:],
        )
        temporary = path.with_name(f".{RUNNING_JSON}.{os.getpid()}")
        with suppress(OSError):  # a full disk, say, ends the work itself with a message; this file is for onlookers
            temporary.unlink(missing_ok=True)  # it may be a link
            with temporary.open("x", encoding="utf-8", errors="replace") as file:
                file.write(found.model_dump_json())
            temporary.replace(path)

    def close(self) -> None:
        """Remove the file; what is reported later is only forwarded."""
        path = _FILES.pop(self._number, None)
        if path is not None:
            with suppress(OSError):
                path.unlink(missing_ok=True)


@contextmanager
def shared_progress(folder: Path, progress: Progress) -> Iterator[SharedProgress]:
    """Show ``progress`` to onlookers, too, inside the block."""
    shared = SharedProgress(folder, progress)
    try:
        yield shared
    finally:
        shared.close()
