"""Live progress of a study on the terminal: running units, finished units, remaining time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fedleak.results.format import duration, plural
from fedleak.studies.execute import Tally
from fedleak.studies.matrix import describe
from fedleak.studies.study import Study
from fedleak.studies.work import Unit, UnitOutcome

SHOWN_RUNNING = 16
LINE_SECONDS = 60.0
"""Seconds between two lines of progress where there is no terminal."""


class QuietWatcher:
    """A watcher that shows nothing."""

    def begun(self, unit: Unit) -> None:
        """Do nothing."""

    def ended(self, outcome: UnitOutcome, *, again: bool) -> None:
        """Do nothing."""

    def refresh(self, tally: Tally) -> None:
        """Do nothing."""


class TerminalWatcher(QuietWatcher):
    """Prints a line for each finished unit; on a terminal also a live table of running units."""

    def __init__(self, console: Console, names: Mapping[str, str], live: Live | None) -> None:
        self._console, self._names, self._live = console, names, live
        self._said = time.monotonic()

    def ended(self, outcome: UnitOutcome, *, again: bool) -> None:
        """Print a permanent line."""
        unit = outcome.unit
        what = f"{unit.kind} {unit.key[:8]} ({self._names.get(unit.key, '')})"
        if again:
            self._console.print(Text(f"{what}: {outcome.reason}; trying again", style="yellow"))
        elif outcome.reason:
            self._console.print(Text(f"{what}: failed: {outcome.reason}", style="red"))
        else:
            self._console.print(Text(f"{what}: {duration(outcome.seconds)}"))

    def refresh(self, tally: Tally) -> None:
        """Draw the table."""
        if self._live is not None:
            self._live.update(Group(self._running(tally), _bar(tally)))
        elif time.monotonic() - self._said > LINE_SECONDS:
            self._said = time.monotonic()
            eta = "" if tally.eta is None else f", about {duration(tally.eta)} to go"
            running = f"{len(tally.running)} running"
            self._console.print(Text(f"  {tally.total - tally.left} of {tally.total} cells done, {running}{eta}"))

    def _running(self, tally: Tally) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in ("running", "cell", "since"):
            table.add_column(heading)
        for unit, since in tally.running[:SHOWN_RUNNING]:
            table.add_row(unit.kind, self._names.get(unit.key, ""), duration(time.monotonic() - since))
        return table


def _bar(tally: Tally) -> Table:
    finished = tally.total - tally.left
    row = Table.grid(padding=(0, 1))
    eta = "" if tally.eta is None else f"about {duration(tally.eta)} to go"
    failed = f", {tally.failed} failed" if tally.failed else ""
    row.add_row(ProgressBar(total=tally.total, completed=finished, width=30), f"{finished}/{tally.total}{failed}", eta)
    return row


def unit_names(study: Study) -> dict[str, str]:
    """Key -> name of each cell, and of each federation by its first cell."""
    names: dict[str, str] = {}
    for cell in study.cells:
        name = ", ".join(text for text in (describe(cell.point), f"seed {cell.seed}") if text)
        names.setdefault(cell.federation, name)
        names.setdefault(cell.key, name)
    return names


@contextmanager
def watch(study: Study, console: Console) -> Iterator[TerminalWatcher]:
    """Show the study on ``console`` while the block runs."""
    names = unit_names(study)
    federations = len({cell.federation for cell in study.cells})
    found = f"{plural(len(study.keys), 'cell')} on {plural(federations, 'federation')}"
    console.print(Text(f"study {study.name}: {found}; starting workers"))
    if not console.is_terminal:
        yield TerminalWatcher(console, names, None)
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield TerminalWatcher(console, names, live)
