"""Examination of a scenario, study or run directory by all checks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from fedleak.component import discover
from fedleak.doctor.base import DoctorCheck, DoctorFinding, ExaminedRun, Facts, Severity
from fedleak.errors import LONGEST_REASON, InputError, InputErrors, one_line
from fedleak.run_directory import RunDirectory
from fedleak.scenario.file import load_scenario
from fedleak.scenario.reader import read_yaml
from fedleak.scenario.schema import Scenario
from fedleak.scenario.shipped import find_scenario
from fedleak.stages.agreement import open_transcript
from fedleak.studies.study import is_study, load_study

ORDER: tuple[Severity, ...] = ("error", "warning", "note")


def examine(path: Path, *, budget: str | None = None, overrides: tuple[str, ...] = ()) -> tuple[DoctorFinding, ...]:
    """All findings of the checks in a scenario, in each cell of a study, or in a run directory; errors first.

    Invalid settings, unreadable data and damaged transcripts are findings, too.

    Raises:
        InputError: if ``path`` does not exist and is not the name of a shipped scenario.
    """
    path = find_scenario(path, option="SCENARIO|RUN_DIR")
    if not os.path.exists(path):
        raise InputError("SCENARIO|RUN_DIR", str(path), "there is no such file or directory")
    try:
        examined_runs, found = _examined_runs(path, budget, overrides)
    except InputError as error:
        return tuple(_refused(each) for each in (error.errors if isinstance(error, InputErrors) else [error]))
    checks = [kind() for kind in discover(DoctorCheck, "fedleak.doctor.checks").values()]  # type: ignore[type-abstract]
    found += [finding for examined in examined_runs for check in checks for finding in check.examine(examined)]
    distinct = dict.fromkeys(found)
    return tuple(sorted(distinct, key=lambda finding: ORDER.index(finding.severity)))


def _examined_runs(
    path: Path, budget: str | None, overrides: tuple[str, ...]
) -> tuple[list[ExaminedRun], list[DoctorFinding]]:
    if path.is_dir():
        return _from_run(RunDirectory(path), overrides)
    if is_study(read_yaml(path)):
        cells = load_study(path, overrides=overrides, budget=budget).cells
        return _from_scenarios(cell.scenario for cell in cells)
    return _from_scenarios([load_scenario(path, overrides=overrides, budget=budget)])


def _from_run(run: RunDirectory, overrides: tuple[str, ...]) -> tuple[list[ExaminedRun], list[DoctorFinding]]:
    reader = open_transcript(run.scenario(), run.transcript, models=False)
    manifest = reader.manifest
    facts = Facts(manifest.input_shape, manifest.classes, manifest.mean, manifest.std)
    return [ExaminedRun(run.scenario(overrides=overrides), facts, reader)], []


def _from_scenarios(scenarios: Iterable[Scenario]) -> tuple[list[ExaminedRun], list[DoctorFinding]]:
    """Scenarios to examine; each data set is read once."""
    known: dict[str, Facts | None] = {}
    examined_runs, found = [], []
    for scenario in scenarios:
        key = scenario.dataset.model_dump_json()
        if key not in known:
            try:
                known[key] = _facts(scenario)
            except InputError as error:
                known[key] = None
                found.append(_refused(error))
        examined_runs.append(ExaminedRun(scenario, known[key]))
    return examined_runs, found


def _facts(scenario: Scenario) -> Facts:
    splits = scenario.dataset.load()
    normalisation = splits.normalisation
    return Facts(splits.input_shape, len(splits.class_names), normalisation.mean, normalisation.std)


def _refused(error: InputError) -> DoctorFinding:
    return DoctorFinding(
        check="settings",
        severity="error",
        what=str(error),
        why="fedleak refuses to run it",
        remedy=f"change {one_line(error.path)}: {one_line(error.allowed, LONGEST_REASON)}",
    )
