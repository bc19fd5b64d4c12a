"""Progress on the terminal, behind a small interface so that the stages know nothing of terminals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

LINE_SECONDS = 10.0
"""Between two lines of one piece of work in a log."""


class Task(Protocol):
    """One bar."""

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Move on; ``note`` replaces the text behind the bar."""


class Progress(Protocol):
    """Where long work reports to."""

    def task(self, description: str, total: int) -> Task:
        """A new bar of ``total`` steps."""

    def say(self, message: str) -> None:
        """One line that stays."""


class _Quiet:
    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Do nothing."""


class QuietProgress:
    """Reports nothing."""

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
        """Move the bar on."""
        if note:
            self._bars.update(self._id, note=note)
        self._bars.advance(self._id, steps)


class _Lines:
    """A bar for logs: a line at the start, one every ``LINE_SECONDS``, one at the end."""

    def __init__(self, say: Callable[[str], None], description: str, total: int) -> None:
        self._say, self._description, self._total = say, description, total
        self._done, self._said = 0, time.monotonic()
        say(description)

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Count, and say so now and then."""
        self._done += steps
        ended = steps > 0 and self._done == self._total
        if ended or time.monotonic() - self._said > LINE_SECONDS:
            self._said = time.monotonic()
            self._say(f"  {self._description}: {self._done} of {self._total}{f', {note}' if note else ''}")


class TerminalProgress:
    """Bars drawn by rich; on a stream that is no terminal, lines."""

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
