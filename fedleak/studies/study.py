"""Loading of a study file into checked cells."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fedleak.errors import InputError, InputErrors, nearest
from fedleak.run_directory import federation_fingerprint, scenario_fingerprint
from fedleak.scenario.budgets import apply_budget, named_budgets
from fedleak.scenario.errors import translate
from fedleak.scenario.file import STUDY_KEYS, load_scenario, parse_override, set_path
from fedleak.scenario.reader import Raw, dump_yaml, plain, read_yaml
from fedleak.scenario.schema import Scenario
from fedleak.studies.matrix import Axis, Matrix, Point, describe, parse_matrix
from fedleak.studies.planned import planned_places
from fedleak.studies.references import check_references
from fedleak.studies.schema import StudySettings

KEY_LENGTH = 16
MAX_ERRORS = 5
SERIAL = {"kind": "serial"}
"""Engine of cells: clients run one after the other, since Flower's engine would start a second Ray in the worker."""


@dataclass(frozen=True)
class StudyCell:
    """One scenario of a study.

    Attributes:
        point: axis -> label.
        seed: seed of the scenario.
        scenario: the complete scenario.
        key: content hash of the scenario; cells with the same scenario share it and run once.
        federation: content hash of all settings that the transcript depends on.
    """

    point: Point
    seed: int
    scenario: Scenario
    key: str
    federation: str


@dataclass(frozen=True)
class Study:
    """A checked study."""

    name: str
    description: str
    budget: str | None
    settings: StudySettings
    axes: tuple[Axis, ...]
    cells: tuple[StudyCell, ...]
    raw: Raw
    """The whole file with budget and overrides applied."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the distinct cells."""
        return tuple(dict.fromkeys(cell.key for cell in self.cells))

    @property
    def resamples(self) -> int:
        """Number of draws behind comparisons of means."""
        return self.cells[0].scenario.bootstrap_resamples


def is_study(raw: Mapping[str, Any]) -> bool:
    """Whether a YAML mapping is a study, not a plain scenario."""
    return any(key in raw for key in STUDY_KEYS)


def load_study(
    source: Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    budget: str | None = None,
    seed: int | None = None,
    device: str | None = None,
) -> Study:
    """Read a study, apply budget and overrides, expand the matrix and check every cell.

    Args:
        source: a YAML file, or its content.
        overrides: ``path=value``, for every cell or for the study's own keys.
        budget: name of one of the study's ``budgets``, applied before ``overrides``.
        seed: the only seed to run.
        device: device of every cell.

    Raises:
        InputError: with the YAML path, the value and what is allowed.
    """
    raw = read_yaml(source) if isinstance(source, Path) else plain(source)
    if isinstance(source, Path):
        raw.setdefault("name", source.stem)
    parsed = [parse_override(override) for override in overrides]
    budgets = named_budgets(raw.get("budgets"))  # before the chosen one is applied
    for path, value in apply_budget(raw, budget, parsed, owner="study", set_path=set_study_path):
        set_study_path(raw, path, value)
    raw |= {"seeds": [seed]} if seed is not None else {}
    raw |= {"device": device} if device is not None else {}
    if not is_study(raw):
        name = str(source) if isinstance(source, Path) else raw.get("name")
        known = ", ".join(STUDY_KEYS)
        raise InputError("STUDY", name, f"it is a plain scenario (a study has some of: {known}); use 'fedleak run'")
    _check_keys(raw)
    settings = _settings({key: raw[key] for key in STUDY_KEYS if key in raw})
    base = {key: value for key, value in raw.items() if key not in (*STUDY_KEYS, "budgets", "budget")}
    matrix = parse_matrix(settings.matrix, seeds=len(set(settings.seeds)) or 1)
    if settings.seeds and "seed" in {axis.name for axis in matrix.axes}:
        raise InputError("seeds", list(settings.seeds), "the matrix varies seed, too: choose one of them")
    folder = source.parent if isinstance(source, Path) else None
    cells = _make_cells(base, matrix, settings.seeds, folder)
    first = cells[0].scenario
    study = Study(first.name, first.description, raw.get("budget"), settings, matrix.axes, cells, raw)
    check_references(settings, matrix.axes, planned_places((cell.point, cell.scenario) for cell in cells), budgets)
    return study


def set_study_path(raw: Raw, path: str, value: Any) -> None:
    """Like ``set_path``, but what follows ``matrix.`` is one key, since it is itself a path."""
    block, _, axis = path.partition(".")
    if block != "matrix" or not axis:
        set_path(raw, path, value)
        return
    matrix = raw.setdefault("matrix", {})
    if not isinstance(matrix, dict):
        raise InputError("matrix", matrix, "expected a mapping")
    if value is None:
        matrix.pop(axis, None)
    else:
        matrix[axis] = value


def _check_keys(raw: Mapping[str, Any]) -> None:
    known = sorted({*Scenario.model_fields, *STUDY_KEYS})
    unknown = [key for key in raw if key not in known]
    if unknown:
        key = str(unknown[0])
        raise InputError(key, raw[unknown[0]], f"unknown key; {nearest(key, known)}known: {', '.join(known)}")


def _settings(raw: Raw) -> StudySettings:
    if isinstance(raw.get("claims"), list):
        raw["claims"] = [_claim(item) for item in raw["claims"]]
    try:
        return StudySettings.model_validate(raw)
    except ValidationError as error:
        raise translate(error.errors(), raw, root=StudySettings) from None


def _claim(raw: object) -> object:
    """``{less: {...}}`` is short for ``{kind: less, ...}``; ``says`` may be next to it."""
    if not isinstance(raw, dict) or "kind" in raw:
        return raw
    rest = {key: value for key, value in raw.items() if key != "says"}
    if len(rest) != 1:
        return raw
    ((kind, settings),) = rest.items()
    said = {"says": raw["says"]} if "says" in raw else {}
    return {"kind": kind, **said, **settings} if isinstance(settings, dict) else raw


def _make_cells(base: Raw, matrix: Matrix, seeds: tuple[int, ...], folder: Path | None) -> tuple[StudyCell, ...]:
    cells: list[StudyCell] = []
    errors: list[InputError] = []
    for point, seed in _places(matrix, seeds):
        try:
            cells.append(_make_cell(base, matrix, point, seed, folder))
        except InputError as error:
            errors += _in_cell(error, point)
        if len(errors) >= MAX_ERRORS:
            break
    if errors:
        raise InputErrors(list({str(error): error for error in errors}.values()))
    if not cells:
        raise InputError("matrix", "exclude", "no cell is left")
    return tuple(cells)


def _places(matrix: Matrix, seeds: tuple[int, ...]) -> Iterator[tuple[Point, int | None]]:
    for point in matrix.points():
        for seed in dict.fromkeys(seeds) or (None,):
            yield point, seed


def _make_cell(base: Raw, matrix: Matrix, point: Point, seed: int | None, folder: Path | None) -> StudyCell:
    raw = copy.deepcopy(base)
    for path, value in matrix.settings(point):
        set_path(raw, path, copy.deepcopy(value))
    federation = raw.setdefault("federation", {})
    if isinstance(federation, dict):
        federation["engine"] = SERIAL
    scenario = load_scenario(raw, seed=seed, folder=folder)
    key = scenario_fingerprint(scenario)[:KEY_LENGTH]
    return StudyCell(point, scenario.seed, scenario, key, federation_fingerprint(scenario)[:KEY_LENGTH])


def check_budgets(source: Path) -> None:
    """Check a study under each of its budgets.

    Raises:
        InputErrors: of the first budget that is wrong.
    """
    for name in named_budgets(read_yaml(source).get("budgets") or {}):
        try:
            load_study(source, budget=name)
        except InputError as error:
            raise InputErrors(_in(error, f"budget {name}")) from error


def _in_cell(error: InputError, point: Point) -> list[InputError]:
    """The error, or errors, with the cell that they belong to."""
    return _in(error, f"the cell {describe(point)}" if point else "")


def _in(error: InputError, where: str) -> list[InputError]:
    if isinstance(error, InputErrors):
        return [found for each in error.errors for found in _in(each, where)]
    return [InputError(f"{error.path} (in {where})", error.value, error.allowed)] if where else [error]


def resolved_text(study: Study) -> str:
    """The study as it was run, as YAML."""
    return dump_yaml(study.raw)


def study_settings(raw: Mapping[str, Any]) -> StudySettings:
    """The part of a study that is not the scenario, with a budget applied; its cells are not checked.

    Raises:
        InputError: if a setting is wrong.
    """
    return _settings({key: raw[key] for key in STUDY_KEYS if key in raw})
