"""Making a ledger entry of a study's directory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedleak.errors import InputError
from fedleak.records import read_json
from fedleak.scenario.reader import parse_mapping
from fedleak.scenario.shipped import shipped_folder
from fedleak.studies.assess import measured_lines
from fedleak.studies.claims.base import Claim, ClaimVerdict
from fedleak.studies.current import study_files
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.ledger import (
    METHOD,
    LedgerCell,
    LedgerEntry,
    LedgerLine,
    LedgerVerdict,
    Machine,
    claim_digest,
    claim_settings,
)
from fedleak.studies.measurements import Measurements
from fedleak.studies.places import without_places
from fedleak.studies.records import CELL
from fedleak.studies.results import CellLine, StudyLine, StudyResults, load_study_results
from fedleak.studies.study import study_settings


def paper_folder(study: str) -> Path:
    """The folder of the shipped study of that name.

    Raises:
        InputError: if no shipped study has that name.
    """
    for path in sorted(shipped_folder().iterdir()):
        if path.is_dir() and study in study_files(path):
            return path
    raise InputError("--into", None, f"no shipped study is called {study!r}; expected the folder of a paper's studies")


def make_entry(root: Path) -> LedgerEntry:
    """The entry of a finished study.

    Raises:
        InputError: if it holds no finished study, a cell was not run, or other claims were judged than the study has.
    """
    results = load_study_results(root)
    waiting = sum(cell.status == "waiting" for cell in results.cells)
    if waiting:
        count = f"{waiting} of its {len(results.cells)} cells have not been run"
        raise InputError("STUDY_DIR", str(root), f"{count}; 'fedleak study {root}' runs them")
    directory, raw = StudyDirectory(root), parse_mapping(results.study, "study.json", option="STUDY_DIR")
    claims = study_settings(raw).claims
    cells, surroundings = tuple(_cells(results, directory)), list(_surroundings(results, directory))
    finished = _finished(results, directory)
    commits = tuple(dict.fromkeys(str(each["commit"]) for each in surroundings if each.get("commit")))
    entry = LedgerEntry(
        source="run",
        study=results.name,
        budget=results.budget,
        date=finished[:10],
        finished=finished,
        commit=commits[-1] if commits else None,
        commits=commits,
        judged_by=results.judged_by,
        fedleak=", ".join(dict.fromkeys(str(each["fedleak"]) for each in surroundings)) or None,
        method=METHOD,
        settings=raw,
        seeds=results.seeds,
        machines=tuple(dict.fromkeys(_machine(each) for each in surroundings)),
        cell_seconds=round(sum({cell.key: cell.seconds or 0.0 for cell in results.cells}.values()), 1),
        metrics=results.metrics,
        published_source=results.source,
        verdicts=tuple(_verdicts(claims, results.verdicts, root)),
        lines=tuple(map(_line, results.lines)),
        round_lines=tuple(map(_line, results.round_lines)),
        cells=cells,
        notes=results.notes,
    )
    return LedgerEntry.model_validate(without_places(entry.model_dump(mode="json")))


def _verdicts(claims: tuple[Claim, ...], verdicts: tuple[ClaimVerdict, ...], root: Path) -> Iterator[LedgerVerdict]:
    said = [claim.says or claim.statement() for claim in claims]
    if said != [verdict.statement for verdict in verdicts]:
        reason = f"its verdicts are not those of its claims; 'fedleak study {root}' judges them again"
        raise InputError("STUDY_DIR", str(root), reason)
    for claim, verdict in zip(claims, verdicts, strict=True):
        yield LedgerVerdict(
            statement=verdict.statement,
            state=verdict.state,
            claim=claim_settings(claim),
            digest=claim_digest(claim),
            p=verdict.p,
            adjusted_p=verdict.adjusted_p,
            reason=verdict.reason,
            checks=verdict.checks,
        )


def _line(line: StudyLine) -> LedgerLine:
    return LedgerLine.model_validate(line.model_dump())


def _cells(results: StudyResults, directory: StudyDirectory) -> Iterator[LedgerCell]:
    for cell in results.cells:
        record = directory.record(cell.key)
        measured = Measurements(results.axes)
        if record is not None and record.status == "ok":
            measured.add(cell.point, cell.seed, record)
        yield LedgerCell(
            point=cell.point,
            seed=cell.seed,
            status=cell.status,
            seconds=cell.seconds,
            commit=_surrounding(directory, cell).get("commit"),
            accuracy=record.accuracy if record is not None else None,
            scores={line.attack: line.metrics for line in measured_lines(measured, published=(), baselines=True)},
        )


def _finished(results: StudyResults, directory: StudyDirectory) -> str:
    """When the last cell was finished; by its file's time, where the record does not say it."""
    times = []
    for cell in results.cells:
        record, file = directory.record(cell.key), directory.cell(cell.key).root / CELL
        if record is not None and record.finished is not None:
            times.append(record.finished)
        elif file.is_file():
            times.append(datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="seconds"))
    return max(times)


def _surroundings(results: StudyResults, directory: StudyDirectory) -> Iterator[dict[str, Any]]:
    """The environment of each finished cell, the last one last."""
    cells = [cell for cell in results.cells if cell.status == "ok"]
    for cell in sorted(cells, key=lambda cell: getattr(directory.record(cell.key), "finished", None) or ""):
        found = _surrounding(directory, cell)
        if found:
            yield found


def _surrounding(directory: StudyDirectory, cell: CellLine) -> dict[str, Any]:
    try:
        found = read_json(directory.cell(cell.key).root / "environment.json")
    except (OSError, ValueError):  # a failed cell has none
        return {}
    return found if isinstance(found, dict) else {}


def _machine(surrounding: dict[str, Any]) -> Machine:
    return Machine(cores=surrounding["cpus"], memory_gib=surrounding["memory_gib"], gpus=surrounding["gpus"])
