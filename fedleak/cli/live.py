"""Live progress of a study on the terminal: what running units do, finished units and their scores, remaining time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fedleak.results.format import duration, metric_title, metric_unit, metric_value, plural
from fedleak.results.running import load_running
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.execute import Tally
from fedleak.studies.matrix import describe
from fedleak.studies.study import Study
from fedleak.studies.work import Unit, UnitOutcome

SHOWN_RUNNING = 16
LINE_SECONDS, MOST_LINE_SECONDS = 10.0, 300.0
"""Seconds between two lines of progress where there is no terminal: at first, and after an hour or more."""
SCORES = ("psnr", "mse")
"""Metrics that are shown of an attack as its cell ends."""


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

    def __init__(
        self, console: Console, names: Mapping[str, str], live: Live | None, directory: StudyDirectory | None = None
    ) -> None:
        self._console, self._names, self._live, self._directory = console, names, live, directory
        self._begun = self._said = time.monotonic()

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
            for line in self._scores(unit):
                self._console.print(Text(f"  {line}"))

    def refresh(self, tally: Tally) -> None:
        """Draw the table."""
        if self._live is not None:
            self._live.update(Group(self._running(tally), _bar(tally)))
        elif (now := time.monotonic()) - self._said > min(
            MOST_LINE_SECONDS, max(LINE_SECONDS, (now - self._begun) / 12)
        ):
            self._said = now
            eta = "" if tally.eta is None else f", about {duration(tally.eta)} to go"
            running = f"{len(tally.running)} running"
            self._console.print(Text(f"  {tally.total - tally.left} of {tally.total} cells done, {running}{eta}"))
            for unit, _ in tally.running[:SHOWN_RUNNING]:
                if doing := self._doing(unit):
                    self._console.print(Text(f"    {unit.kind} ({self._names.get(unit.key, '')}): {doing}"))

    def _running(self, tally: Tally) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in ("running", "cell", "since", "doing"):
            table.add_column(heading, no_wrap=heading == "doing", overflow="ellipsis")
        for unit, since in tally.running[:SHOWN_RUNNING]:
            doing = self._doing(unit)
            table.add_row(unit.kind, self._names.get(unit.key, ""), duration(time.monotonic() - since), doing)
        return table

    def _doing(self, unit: Unit) -> str:
        """What a unit does now: iteration, matching loss, time left."""
        if self._directory is None:
            return ""
        run = self._directory.cell(unit.key) if unit.kind == "cell" else self._directory.federation(unit.key)
        found = load_running(run.root)
        return found.text if found is not None else ""

    def _scores(self, unit: Unit) -> Iterator[str]:
        """One line for each attack of a finished cell."""
        record = self._directory.record(unit.key) if self._directory is not None and unit.kind == "cell" else None
        for measured in record.attacks if record is not None else ():
            known = {name: [v for v in measured.metrics.get(name, ()) if v is not None] for name in SCORES}
            means = [
                f"{metric_title(name)} {metric_value(name, sum(values) / len(values))}{metric_unit(name)}"
                for name, values in known.items()
                if values
            ]
            if not measured.is_baseline and means:
                yield f"{measured.attack}: {plural(len(measured.images), 'image')}, {', '.join(means)}"


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
def watch(study: Study, console: Console, directory: StudyDirectory | None = None) -> Iterator[TerminalWatcher]:
    """Show the study on ``console`` while the block runs; what its units do is read from ``directory``."""
    names = unit_names(study)
    federations = len({cell.federation for cell in study.cells})
    found = f"{plural(len(study.keys), 'cell')} on {plural(federations, 'federation')}"
    console.print(Text(f"study {study.name}: {found}; starting workers"))
    if not console.is_terminal:
        yield TerminalWatcher(console, names, None, directory)
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield TerminalWatcher(console, names, live, directory)
