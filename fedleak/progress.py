"""Progress on the terminal, behind a small interface so that the stages know nothing of terminals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


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


class TerminalProgress:
    """Bars drawn by rich; on a stream that is no terminal, one line per finished piece of work."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars

    def task(self, description: str, total: int) -> Task:
        """A new bar."""
        if not self._bars.console.is_terminal:
            self.say(description)
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
