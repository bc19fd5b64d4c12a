"""The two kinds of work in a study, one federation and one cell, as functions that any process can call."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from fedleak.errors import FedleakError
from fedleak.locks import waiting_lock
from fedleak.progress import LineProgress
from fedleak.records import write_atomically
from fedleak.results.judgement import defenses, judge
from fedleak.results.schema import Results
from fedleak.run_directory import RunDirectory
from fedleak.scenario.schema import Scenario
from fedleak.stages.score.truth import UPDATES
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.records import ACCURACIES, CellRecord, measure, privacy_spent, save_cell
from fedleak.transcript.manifest import digest_of, file_digest

IMAGES_DIGEST = "images.sha256"


@dataclass(frozen=True)
class Unit:
    """One piece of work.

    Attributes:
        kind: ``federation`` to run one; ``cell`` to attack, score and report one.
        key: key of the federation or cell.
        federation: key of the federation that a cell attacks; for a federation, its key.
        scenario: the complete scenario, JSON-ready.
    """

    kind: Literal["federation", "cell"]
    key: str
    federation: str
    scenario: dict[str, Any]


@dataclass(frozen=True)
class UnitOutcome:
    """Outcome of a unit; an empty ``reason`` means success."""

    unit: Unit
    seconds: float
    reason: str = ""
    lost: bool = False
    """Whether the worker died; the unit may be retried."""


class LogProgress(LineProgress):
    """Progress as lines of a log, each with the time."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(self.say)
        self._stream = stream

    def say(self, message: str) -> None:
        """Log a message with the time."""
        self._stream.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {message}\n")
        self._stream.flush()


def work(unit: Unit, directory: StudyDirectory) -> UnitOutcome:
    """Run a unit; any exception becomes the reason of the outcome.

    If another process still works on it, such as a worker whose driver was killed, wait for that process.
    """
    start = time.perf_counter()
    with waiting_lock(directory.lock_file(unit.key)), _log(directory.log(unit.key)) as log:
        if unit.kind == "cell" and (record := directory.record(unit.key)) is not None and record.status == "ok":
            return UnitOutcome(unit, record.seconds)
        log.say(f"{unit.kind} {unit.key}: start in process {os.getpid()}")
        try:
            (_federate if unit.kind == "federation" else _attack)(unit, directory, log)
        except Exception as error:  # a bug in one cell, or a full disk, must not stop the others
            reason = str(error) if isinstance(error, FedleakError) else f"{type(error).__name__}: {error}"
            log.say(traceback.format_exc().rstrip())
        else:
            reason = ""
            log.say(f"{unit.kind} {unit.key}: done in {time.perf_counter() - start:.2f} s")
    return UnitOutcome(unit, time.perf_counter() - start, reason)


@contextmanager
def _log(path: Path) -> Iterator[LogProgress]:
    with path.open("a", encoding="utf-8", errors="replace") as stream:
        yield LogProgress(stream)


def _federate(unit: Unit, directory: StudyDirectory, log: LogProgress) -> None:
    from fedleak.stages.federate import federate, plan_federation, seal

    scenario = Scenario.model_validate(unit.scenario)
    run = directory.federation(unit.key)
    plan = plan_federation(scenario, run)
    if plan is None:
        log.say("federation: already finished, transcript reused")
        with run.lock():
            seal(run)
        return
    with run.lock():
        run.store(scenario)
        (run.root / IMAGES_DIGEST).unlink(missing_ok=True)
        federate(plan, run, log)


def _attack(unit: Unit, directory: StudyDirectory, log: LogProgress) -> None:
    from fedleak.pipeline import attack_run

    start = time.perf_counter()
    run = directory.cell(unit.key)
    run.root.mkdir(parents=True, exist_ok=True)
    _link(run, directory.federation(unit.federation))
    run.store(Scenario.model_validate(unit.scenario))
    if not run.truth.is_dir():
        raise FedleakError(f"the truth of federation {unit.federation} is missing")
    results = attack_run(run, progress=log)
    save_cell(
        run.root,
        CellRecord(
            key=unit.key,
            federation=unit.federation,
            images=truth_digest(directory.federation(unit.federation)),
            code=code_of_attacks(run.scenario()),
            status="ok",
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=time.perf_counter() - start,
            accuracy=results.federation[-1].accuracy if results.federation else None,
            test_images=results.federation[-1].test_images if results.federation else None,
            chance=results.chance,
            defenses=defenses(results.scenario),
            doubts=judge(results),
            encoded_bytes=results.encoded_bytes,
            bytes_per_round=bytes_per_round(results),
            privacy=privacy_spent(results),
            higher_is_better=(*results.higher_is_better, *ACCURACIES),
            attacks=measure(results),
        ),
    )


def code_of_attacks(scenario: Scenario) -> str:
    """Content hash of the code that the attacks of a scenario depend on."""
    from fedleak.stages.attack.fingerprints import attack_code
    from fedleak.stages.attack.job import AttackJob

    job = AttackJob.of(scenario)
    return digest_of([attack_code(job, attack) for attack in scenario.attacks])


def bytes_per_round(results: Results) -> float | None:
    """Mean size of an update times the number of clients in a round; None if no size is known."""
    federation = Scenario.model_validate(results.scenario).federation
    clients = federation.clients_per_round or federation.clients
    return None if results.encoded_bytes is None else clients * results.encoded_bytes


def truth_digest(federation: RunDirectory) -> str:
    """Content hash of a federation's truth, stored next to it once computed."""
    kept = federation.root / IMAGES_DIGEST
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    names = {"images.npy", "labels.npy", UPDATES}  # nothing that differs between equal images
    files = sorted(path for path in federation.truth.rglob("*") if path.is_file() and path.name in names)
    digest = digest_of({path.relative_to(federation.truth).as_posix(): file_digest(path) for path in files})
    write_atomically(kept, digest)
    return digest


def _link(run: RunDirectory, federation: RunDirectory) -> None:
    """Link the cell's transcript and truth to those of the federation."""
    for ours, theirs in ((run.transcript, federation.transcript), (run.truth, federation.truth)):
        if not ours.is_symlink():
            ours.symlink_to(os.path.relpath(theirs, ours.parent))


def record_failure(outcome: UnitOutcome, directory: StudyDirectory, cell: str) -> CellRecord:
    """Record that a cell failed, or that its federation failed.

    Raises:
        OSError: if it cannot be written; the cell then counts as not run.
    """
    record = CellRecord(
        key=cell,
        federation=outcome.unit.federation,
        status="failed",
        reason=outcome.reason if outcome.unit.kind == "cell" else f"its federation failed: {outcome.reason}",
        log_tail=directory.tail(outcome.unit.key),
        seconds=outcome.seconds,
    )
    folder = directory.cell(cell).root
    folder.mkdir(parents=True, exist_ok=True)
    save_cell(folder, record)
    return record
