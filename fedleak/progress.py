"""Progress bars, behind a small interface so that the stages do not depend on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

LINE_SECONDS = 10.0
"""Seconds between two log lines of one task."""


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
    """Progress as log lines: one at the start, one every ``LINE_SECONDS``, one at the end."""

    def __init__(self, say: Callable[[str], None], description: str, total: int) -> None:
        self._say, self._description, self._total = say, description, total
        self._done, self._said = 0, time.monotonic()
        say(description)

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Count the steps; print a line from time to time."""
        self._done += steps
        ended = steps > 0 and self._done == self._total
        if ended or time.monotonic() - self._said > LINE_SECONDS:
            self._said = time.monotonic()
            self._say(f"  {self._description}: {self._done} of {self._total}{f', {note}' if note else ''}")


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
        """Print above the bars."""
        self._bars.console.print(message, highlight=False, markup=False)


@contextmanager
def terminal_progress(console: Console) -> Iterator[TerminalProgress]:
    """Show bars on ``console`` while the block runs."""
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with RichProgress(*columns, console=console, disable=not console.is_terminal) as bars:
        yield TerminalProgress(bars)
