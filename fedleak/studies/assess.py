"""Evaluation of finished cells: intervals, published numbers, verdicts."""

from __future__ import annotations

from collections.abc import Iterable

from fedleak.studies.claims.base import correct
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.matrix import axis_name, matches
from fedleak.studies.measurements import ATTACK, ROUND, AttackPlace, Measurements
from fedleak.studies.records import CellRecord
from fedleak.studies.results import (
    CellLine,
    FigureChoice,
    PublishedNumber,
    StudyLine,
    StudyResults,
    save_rows,
    save_study,
)
from fedleak.studies.study import Study, StudyCell, resolved_text
from fedleak.version import source_commit


def assess(study: Study, directory: StudyDirectory) -> StudyResults:
    """Judge every claim on the finished cells, and write ``study.json`` and ``study.csv``."""
    records = {key: directory.record(key) for key in study.keys}
    axes = tuple(axis.name for axis in study.axes)
    measured = Measurements(axes, study.resamples)
    finished = [(c.point, c.seed, r) for c in study.cells if (r := records[c.key]) is not None and r.status == "ok"]
    for point, seed, record in finished:
        measured.add(point, seed, record)
    published = tuple(_published(study, measured))
    results = StudyResults(
        name=study.name,
        description=study.description,
        budget=study.budget,
        axes=axes,
        seeds=tuple(dict.fromkeys(cell.seed for cell in study.cells)),
        federations=len({cell.federation for cell in study.cells}),
        higher_is_better=tuple(dict.fromkeys(name for _, _, r in finished for name in r.higher_is_better)),
        metrics=study.settings.table.metrics,
        figure=_figure(study, measured),
        source=study.settings.published.source,
        setting=study.settings.published.setting,
        published=published,
        verdicts=correct([claim.judge(measured) for claim in study.settings.claims]),
        lines=tuple(measured_lines(measured, published=published, baselines=study.settings.table.baselines)),
        round_lines=tuple(_round_lines(study, measured, published)),
        cells=tuple(_cell_line(cell, records[cell.key]) for cell in study.cells),
        notes=_notes(study, records.values()),
        judged_by=source_commit(),
        study=resolved_text(study),
    )
    save_rows(directory.root, axes, finished)
    save_study(directory.root, results)
    return results


def _published(study: Study, measured: Measurements) -> Iterable[PublishedNumber]:
    for value in study.settings.published.values:
        yield PublishedNumber(metric=value.metric, value=value.value, where=measured.resolved(value.where))


def _figure(study: Study, measured: Measurements) -> FigureChoice | None:
    figure = study.settings.figure
    if figure is None:
        return None
    along = axis_name(figure.along, measured.axes) or figure.along
    return FigureChoice(metric=figure.metric, along=along, logarithmic=figure.logarithmic, beside=figure.beside)


def _round_lines(study: Study, measured: Measurements, published: tuple[PublishedNumber, ...]) -> Iterable[StudyLine]:
    figure = study.settings.figure
    if figure is None or figure.along != ROUND:
        return ()
    return measured_lines(measured.by_round(), published=published, baselines=False)


def measured_lines(
    measured: Measurements, *, published: tuple[PublishedNumber, ...], baselines: bool
) -> Iterable[StudyLine]:
    """One line per place that has values."""
    for place in measured.places({}, baselines=baselines):
        yield _line(measured, place, published)


def _line(measured: Measurements, place: AttackPlace, published: tuple[PublishedNumber, ...]) -> StudyLine:
    labels = place.by_name
    parts = measured.measured(place)
    point = {name: label for name, label in labels.items() if name != ATTACK}
    return StudyLine(
        point=point,
        attack=parts[0].attack,
        is_baseline=parts[0].is_baseline,
        adaptive=parts[0].adaptive,
        images=sum(len(part.images) for part in parts),
        seeds=len(parts),
        failures=sum(part.failures for part in parts),
        metrics=measured.intervals(place),
        privacy=None if parts[0].is_baseline else measured.privacy(place),
        published={number.metric: number.value for number in published if matches(labels, number.where)},
    )


def _cell_line(cell: StudyCell, record: CellRecord | None) -> CellLine:
    if record is None:
        return CellLine(key=cell.key, point=cell.point, seed=cell.seed, status="waiting")
    return CellLine(
        key=cell.key,
        point=cell.point,
        seed=cell.seed,
        status=record.status,
        seconds=record.seconds,
        privacy=record.privacy,
        reason=record.reason,
        log_tail=record.log_tail,
    )


def _notes(study: Study, records: Iterable[CellRecord | None]) -> tuple[str, ...]:
    every = list(records)
    notes = []
    failed = sum(record is not None and record.status == "failed" for record in every)
    waiting = sum(record is None for record in every)
    if failed:
        notes.append(f"{failed} of {len(every)} cells failed; the measurements leave them out")
    if waiting:
        notes.append(f"{waiting} of {len(every)} cells have not been run")
    if len({cell.seed for cell in study.cells}) == 1:
        notes.append("one seed: intervals are over images only and do not show the variation between federations")
    shared = len(study.cells) - len(every)
    if shared:
        notes.append(f"{shared} cells have the same scenario as another cell and share its results")
    return tuple(notes)
