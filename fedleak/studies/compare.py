"""Comparison of finished runs as if they were cells of a study. Torch-free except for the fingerprints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fedleak.errors import InputError
from fedleak.results.schema import Results, load_results
from fedleak.results.settings import flat_settings
from fedleak.studies.assess import measured_lines
from fedleak.studies.matrix import Label, Point
from fedleak.studies.measurements import Measurements
from fedleak.studies.paired import paired_differences
from fedleak.studies.records import CellRecord, measure, privacy_spent
from fedleak.studies.results import CellLine, StudyResults

IGNORED = ("name", "description", "seed", "budget", "federation.engine", "device", "bootstrap_resamples")
MOST_AXES = 4
"""Runs that differ in more settings are identified by their names."""
RUN = "run"


def compare_runs(roots: Sequence[Path]) -> StudyResults:
    """Compare runs. Runs that differ only in their seed are pooled.

    Raises:
        InputError: if a directory holds no results, or is named twice.
    """
    if len(set(roots)) < len(roots):
        raise InputError("RUN_DIR", [str(root) for root in roots], "a run is named twice")
    results = [load_results(root) for root in roots]
    points = _points(roots, results)
    axes = tuple(points[0])
    measured = Measurements(axes)
    records = [_record(root, result) for root, result in zip(roots, results, strict=True)]
    for point, result, record in zip(points, results, records, strict=True):
        measured.add(point, _seed(result), record)
    names = dict.fromkeys(name for result in results for s in result.attacks for name in s.metrics)
    return StudyResults(
        name="comparison",
        description=f"{len(roots)} runs side by side.",
        budget=None,
        axes=axes,
        seeds=tuple(dict.fromkeys(map(_seed, results))),
        federations=len({_federation(root, result) for root, result in zip(roots, results, strict=True)}),
        higher_is_better=tuple(dict.fromkeys(name for result in results for name in result.higher_is_better)),
        metrics=tuple(names),
        figure=None,
        source="",
        setting="",
        published=(),
        verdicts=(),
        lines=tuple(measured_lines(measured, published=(), baselines=True)),
        paired=paired_differences(*records) if len(records) == 2 else (),
        cells=tuple(
            CellLine(key=str(root), point=point, seed=_seed(result), status="ok", privacy=privacy_spent(result))
            for root, point, result in zip(roots, points, results, strict=True)
        ),
        notes=_notes(records),
        study="",
    )


def _record(root: Path, results: Results) -> CellRecord:
    return CellRecord(
        key=str(root),
        federation=_federation(root, results),
        images=_images(root),
        status="ok",
        seconds=0.0,
        test_images=results.federation[-1].test_images if results.federation else None,
        higher_is_better=results.higher_is_better,
        privacy=privacy_spent(results),
        attacks=measure(results),
    )


def _images(root: Path) -> str:
    """Content hash of the images behind a run; empty without its truth."""
    from fedleak.studies.work import images_digest

    truth = root / "truth"
    return images_digest(truth) if truth.is_dir() else ""


def _notes(records: Sequence[CellRecord]) -> tuple[str, ...]:
    """Why two runs are not compared image by image."""
    if len(records) != 2 or records[0].images == records[1].images != "":
        return ()
    if not all(record.images for record in records):
        return ("no paired differences: a run has no truth/, so it is not known whether the images are the same",)
    return ("no paired differences: the two runs attack different images",)


def _federation(root: Path, results: Results) -> str:
    """Runs of one federation reconstruct the same images, so they are compared in pairs."""
    from pydantic import ValidationError

    from fedleak.run_directory import federation_fingerprint
    from fedleak.scenario.schema import Scenario

    try:
        return federation_fingerprint(Scenario.model_validate(results.scenario))
    except ValidationError:  # a run of another version
        return str(root.resolve())


def _seed(results: Results) -> int:
    seed = results.scenario.get("seed")
    return seed if isinstance(seed, int) else 0


def _points(roots: Sequence[Path], results: Sequence[Results]) -> list[Point]:
    """Settings that differ between the scenarios; the run's name if they are too few or too many."""
    settings = [dict(_compared(result.scenario)) for result in results]
    paths = list(dict.fromkeys(path for one in settings for path in one))
    differing = [p for p in paths if len({repr(one.get(p)) for one in settings}) > 1]
    points: list[Point] = [{path: one.get(path) for path in differing} for one in settings]
    seeds = [_seed(result) for result in results]
    distinct = {repr((point, seed)) for point, seed in zip(points, seeds, strict=True)}
    if len(distinct) == len(points) and len(differing) <= MOST_AXES and differing:
        return points
    return [{RUN: str(root)} for root in roots]


def _compared(scenario: Mapping[str, object]) -> Iterator[tuple[str, Label]]:
    for path, value in flat_settings(scenario):
        if not any(path == ignored or path.startswith(f"{ignored}.") for ignored in IGNORED):
            yield path, value
