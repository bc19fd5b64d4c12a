"""Running a study: all unfinished cells in parallel; a failed cell does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from fedleak.progress import QuietProgress
from fedleak.results.format import duration
from fedleak.results.running import SharedProgress, shared_progress
from fedleak.run_directory import INPUTS
from fedleak.stages.federate import is_current
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.pool import Pool, SerialPool, ray_pool
from fedleak.studies.queue import Queue, distinct
from fedleak.studies.records import CELL
from fedleak.studies.study import Study, StudyCell
from fedleak.studies.work import Unit, UnitOutcome, code_of_attacks, record_failure

POLL_SECONDS = 0.2


@dataclass
class Tally:
    """Progress of a study, as shown by the live table."""

    total: int
    reused: int
    jobs: int = 1
    started: float = field(default_factory=time.monotonic)
    done: int = 0
    failed: int = 0
    seconds: list[float] = field(default_factory=list)
    running: tuple[tuple[Unit, float], ...] = ()

    @property
    def left(self) -> int:
        """Number of unfinished cells."""
        return self.total - self.reused - self.done - self.failed

    @property
    def eta(self) -> float | None:
        """Remaining seconds, estimated from the mean pace so far."""
        finished = self.done + self.failed
        if not finished:
            return None
        return (time.monotonic() - self.started) / finished * self.left


class Watcher(Protocol):
    """Receives progress events of a study."""

    def begun(self, unit: Unit) -> None:
        """A unit was submitted to a worker."""

    def ended(self, outcome: UnitOutcome, *, again: bool) -> None:
        """A unit ended; ``again`` if it will be retried."""

    def refresh(self, tally: Tally) -> None:
        """Called regularly with the current progress."""


def execute(
    study: Study,
    directory: StudyDirectory,
    watcher: Watcher,
    *,
    jobs: int | None = None,
    address: str | None = None,
    serial: bool = False,
    retry_failed: bool = False,
) -> Tally:
    """Run the unfinished cells. No other process may use the directory.

    Args:
        study, directory, watcher: the study, its files, and the receiver of progress events.
        jobs: number of workers; as many as fit by default.
        address: of a Ray cluster to join.
        serial: run everything in this process, without Ray.
        retry_failed: run failed cells again.
    """
    cells = distinct(_unit(cell) for cell in study.cells)
    current = _current_federations(study, directory)
    _forget_stale(study, directory, current)
    records = {cell.key: directory.record(cell.key) for cell in cells}
    waiting = [c for c in cells if (r := records[c.key]) is None or (retry_failed and r.status == "failed")]
    tally = Tally(total=len(cells), reused=len(cells) - len(waiting))
    if not waiting:
        return tally
    queue = Queue(waiting, current)
    units = len(waiting) + queue.federations_left
    pools = _pool(study, directory, jobs=jobs, units=units, address=address, serial=serial)
    with shared_progress(directory.root, QuietProgress()) as shared, pools as pool:
        tally.jobs = pool.idle
        _Driver(queue, pool, directory, watcher, tally, shared).run()
    return tally


def _unit(cell: StudyCell) -> Unit:
    return Unit("cell", cell.key, cell.federation, cell.scenario.model_dump(mode="json"))


def _current_federations(study: Study, directory: StudyDirectory) -> set[str]:
    """Finished federations of which neither code nor data nor initial weights have changed since."""
    first = {cell.federation: cell.scenario for cell in study.cells}
    return {key for key, scenario in first.items() if is_current(scenario, directory.federation(key))}


def _forget_stale(study: Study, directory: StudyDirectory, current: set[str]) -> None:
    """Remove the records of finished cells whose federation, or whose attacks' code, is no longer the recorded one."""
    for cell in study.cells:
        record = directory.record(cell.key)
        if record is None or record.status != "ok":
            continue
        began = (directory.federation(cell.federation).root / INPUTS).is_file()
        if (began and cell.federation not in current) or record.code not in {"", code_of_attacks(cell.scenario)}:
            (directory.cell(cell.key).root / CELL).unlink(missing_ok=True)


@contextmanager
def _pool(
    study: Study, directory: StudyDirectory, *, jobs: int | None, units: int, address: str | None, serial: bool
) -> Iterator[Pool]:
    if serial:
        yield SerialPool(directory)
        return
    with ray_pool(directory, study.settings.resources, jobs=jobs, units=units, address=address) as pool:
        yield pool


class _Driver:
    def __init__(
        self,
        queue: Queue,
        pool: Pool,
        directory: StudyDirectory,
        watcher: Watcher,
        tally: Tally,
        shared: SharedProgress,
    ) -> None:
        self._queue, self._pool, self._directory = queue, pool, directory
        self._watcher, self._tally, self._shared = watcher, tally, shared
        self._since: dict[str, float] = {}

    def run(self) -> None:
        """Run until the queue is empty."""
        while not self._queue.finished:
            self._fill()
            for outcome in self._pool.wait(POLL_SECONDS):
                self._settle(outcome)
            running = tuple((unit, self._since[unit.key]) for unit in self._queue.running)
            self._tally.running = running
            self._watcher.refresh(self._tally)
            self._share(self._tally)

    def _share(self, tally: Tally) -> None:
        """Tell onlookers how far the study is."""
        failed = f", {tally.failed} failed" if tally.failed else ""
        left = f", about {duration(tally.eta)} left" if tally.eta is not None else ""
        note = f"{len(tally.running)} running{failed}{left}"
        self._shared.set("cells", done=tally.total - tally.left, total=tally.total, note=note)

    def _fill(self) -> None:
        while self._pool.idle and (unit := self._queue.take()) is not None:
            self._since[unit.key] = time.monotonic()
            self._watcher.begun(unit)
            self._pool.submit(unit)

    def _settle(self, outcome: UnitOutcome) -> None:
        unit = outcome.unit
        again = outcome.lost and self._queue.lost(unit)
        self._watcher.ended(outcome, again=again)
        if again:
            return
        if outcome.reason:
            for cell in self._queue.failed(unit):
                self._tally.failed += 1
                self._note_failure(outcome, cell)
            return
        self._queue.done(unit)
        if unit.kind == "cell":
            self._tally.done += 1
            self._tally.seconds.append(outcome.seconds)

    def _note_failure(self, outcome: UnitOutcome, cell: str) -> None:
        try:
            record_failure(outcome, self._directory, cell)
        except OSError as error:  # such as a full disk: without a record the cell runs again next time
            self._watcher.ended(UnitOutcome(outcome.unit, 0.0, f"failure could not be recorded: {error}"), again=True)
