"""Progress bars, behind a small interface so that the stages do not depend on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Column
from rich.text import Text

LINE_SECONDS, MOST_LINE_SECONDS = 10.0, 300.0
"""Seconds between two log lines of one task: at first, and after an hour or more."""


class Task(Protocol):
    """One progress bar."""

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Advance by ``steps``; ``note`` replaces the text after the bar."""


class Progress(Protocol):
    """Interface to which long-running work reports its progress."""

    def task(self, description: str, total: int) -> Task:
        """A new bar of ``total`` steps."""

    def say(self, message: str) -> None:
        """Print one line."""


class _Quiet:
    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Do nothing."""


class QuietProgress:
    """Progress that shows nothing."""

    def task(self, description: str, total: int) -> Task:
        """A bar that shows nothing."""
        return _Quiet()

    def say(self, message: str) -> None:
        """Do nothing."""


class _Bar:
    def __init__(self, bars: RichProgress, description: str, total: int) -> None:
        self._bars = bars
        self._id = bars.add_task(description, total=total, note="")

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Advance the bar."""
        if note:
            self._bars.update(self._id, note=note)
        self._bars.advance(self._id, steps)


class _Lines:
    """Progress as log lines: one at the start, ever fewer in between, one at the end."""

    def __init__(self, say: Callable[[str], None], description: str, total: int) -> None:
        self._say, self._description, self._total = say, description, total
        self._begun = self._said = time.monotonic()
        self._done = 0
        say(description)

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Count the steps; print a line from time to time."""
        self._done += steps
        ended = steps > 0 and self._done == self._total
        now = time.monotonic()
        if ended or now - self._said > min(MOST_LINE_SECONDS, max(LINE_SECONDS, (now - self._begun) / 12)):
            self._said = now
            left = "" if ended or not self._done else f", {self._left(now)} left"
            self._say(f"  {self._description}: {self._done} of {self._total}{f', {note}' if note else ''}{left}")

    def _left(self, now: float) -> timedelta:
        """Time for the other steps, at the mean pace so far."""
        return timedelta(seconds=round((now - self._begun) / self._done * (self._total - self._done)))


class LineProgress:
    """Progress as lines, for logs.

    Args:
        say: prints one line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def task(self, description: str, total: int) -> Task:
        """A new task."""
        return _Lines(self._say, description, total)

    def say(self, message: str) -> None:
        """Print one line."""
        self._say(message)


class TerminalProgress:
    """Bars drawn by rich; log lines if the stream is not a terminal."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars

    def task(self, description: str, total: int) -> Task:
        """A new bar."""
        if not self._bars.console.is_terminal:
            return _Lines(self.say, description, total)
        return _Bar(self._bars, description, total)

    def say(self, message: str) -> None:
        """Print above the bars; a log has each message in one line, however long."""
        console = self._bars.console
        console.print(message, highlight=False, markup=False, soft_wrap=not console.is_terminal)


class _Bars(RichProgress):
    """One line per task, and below them the note of the running ones, which needs the whole width."""

    def get_renderables(self) -> Iterator[RenderableType]:
        """The bars, then the notes."""
        yield self.make_tasks_table(self.tasks)
        running = [task for task in self.tasks if not task.finished] or self.tasks[-1:]
        for task in running:
            if task.fields["note"]:
                yield Text(f"  {task.fields['note']}", style="dim", no_wrap=True, overflow="ellipsis")


@contextmanager
def terminal_progress(console: Console) -> Iterator[TerminalProgress]:
    """Show bars on ``console`` while the block runs."""
    columns = (
        TextColumn("{task.description}", style="bold", markup=False, table_column=Column(overflow="fold")),
        BarColumn(bar_width=20, table_column=Column(no_wrap=True)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
    )
    with _Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        yield TerminalProgress(bars)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


@contextmanager
def notebook_progress(given: Progress | None) -> Iterator[Progress]:
    """The given progress; without one, bars in a notebook, which rich draws below the cell, and elsewhere nothing."""
    if given is not None:
        yield given
    elif in_notebook():
        with terminal_progress(Console(force_jupyter=True)) as bars:
            yield bars
    else:
        yield QuietProgress()
