"""Entries to log, made from directories of finished runs and studies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fedleak.report.build import REPORT_HTML
from fedleak.results.schema import PICTURES, RESULTS_JSON, AttackSummary, Interval, load_results
from fedleak.results.settings import flat_settings
from fedleak.studies.matrix import describe
from fedleak.studies.results import STUDY_JSON, StudyResults, load_study_results
from fedleak.trackers.base import TrackedEntry
from fedleak.transcript.manifest import file_digest

COSTS = ("training_seconds", "seconds_per_reconstruction", "peak_memory_bytes", "parameters")


def entries(root: Path) -> Iterator[TrackedEntry]:
    """The entry of the run in ``root``; for a study, those of its finished cells and then its own.

    Raises:
        InputError: if there is neither.
    """
    if not (root / STUDY_JSON).is_file():
        yield run_entry(root)
        return
    study = load_study_results(root)
    for cell in {cell.key: cell for cell in study.cells if cell.status == "ok"}.values():
        name = ", ".join(text for text in (describe(cell.point), f"seed {cell.seed}") if text)
        yield run_entry(root / "cells" / cell.key, group=study.name, name=name)
    yield study_entry(root, study)


def run_entry(root: Path, *, group: str = "", name: str = "") -> TrackedEntry:
    """Entry of a finished run: scores of attacks and baselines, curves, costs and median pictures.

    Raises:
        InputError: if its results are missing or damaged.
    """
    results = load_results(root)
    own = [summary for summary in results.attacks if not summary.is_baseline]
    return TrackedEntry(
        key=file_digest(root / RESULTS_JSON),
        group=group or results.name,
        name=name or results.name,
        report=root / REPORT_HTML,
        settings=dict(flat_settings({k: v for k, v in results.scenario.items() if k not in ("budgets", "budget")})),
        scores={f"{s.attack}/{metric}": interval for s in results.attacks for metric, interval in s.metrics.items()},
        curves={f"{s.attack}/{curve}": values for s in own for curve, values in s.curves.items()},
        costs={f"{s.attack}/{cost}": float(value) for s in own for cost, value in _costs(s)},
        pictures=dict(_pictures(root / PICTURES, own)),
        facts={f"note {i}": note for i, note in enumerate(results.notes, start=1)},
    )


def study_entry(root: Path, study: StudyResults) -> TrackedEntry:
    """Entry of a study: its verdicts, and the scores at every point."""
    scores: dict[str, Interval] = {}
    for line in study.lines:
        place = describe(line.point)
        for metric, interval in line.metrics.items():
            scores[f"{line.attack}/{metric}/{place}" if place else f"{line.attack}/{metric}"] = interval
    seconds = [cell.seconds for cell in study.cells if cell.seconds is not None]
    verdicts = {f"claim {i}": f"{v.state}: {v.statement}" for i, v in enumerate(study.verdicts, start=1)}
    return TrackedEntry(
        key=file_digest(root / STUDY_JSON),
        group=study.name,
        name=f"study {study.name}",
        report=root / REPORT_HTML,
        settings={"budget": study.budget or ""},
        scores={name.replace("=", " ").replace(",", ""): interval for name, interval in scores.items()},
        costs={"cells/seconds": sum(seconds), "cells/done": sum(cell.status == "ok" for cell in study.cells)},
        facts=verdicts,
    )


def _costs(summary: AttackSummary) -> Iterator[tuple[str, float]]:
    for name in COSTS:
        value = getattr(summary, name)
        if value is not None:
            yield name, value


def _pictures(folder: Path, summaries: list[AttackSummary]) -> Iterator[tuple[str, tuple[Path, Path]]]:
    for summary in summaries:
        for picture in summary.pictures:
            files = (folder / picture.original, folder / picture.reconstruction)
            if picture.rank == "median" and _safe(folder, files):
                name = f"{summary.attack}/round-{picture.round}-victim-{picture.victim}-image-{picture.image}"
                yield name, files


def _safe(folder: Path, files: tuple[Path, Path]) -> bool:
    """Whether both files are directly in the folder; results may come from untrusted sources."""
    return all(file.is_file() and file.resolve().parent == folder.resolve() for file in files)
