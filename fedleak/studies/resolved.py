"""A study with every default written out: what its cells have in common, and its own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedleak.scenario.reader import dump_yaml
from fedleak.scenario.shown import every_setting
from fedleak.studies.planned import PlannedPlace, planned_places
from fedleak.studies.study import Study

DIFFERS = object()
"""Stands for a setting that the matrix decides and the file leaves to it."""
OWN = ("budgets", "budget")


def study_with_defaults(study: Study) -> str:
    """The study as YAML with every default of its cells and of its own keys; it loads as the same cells.

    A setting in which cells differ stands as in the file, or is left to the matrix if the file leaves it out.
    """
    cells = list({cell.key: cell.scenario for cell in study.cells}.values())
    dumped = [every_setting(cell, without=(*OWN, "seed")) for cell in cells]
    common = _common(dumped, study.raw)
    kept = {key: study.raw[key] for key in OWN if key in study.raw}
    return dump_yaml({**common, **_own_settings(study), **kept})


def _own_settings(study: Study) -> dict[str, Any]:
    """The keys that a study adds to its scenario, without what refers to budgets that were not chosen."""
    own = every_setting(study.settings)
    if study.budget is not None:
        own["costs"] = {name: minutes for name, minutes in own["costs"].items() if name == study.budget}
    if not study.settings.seeds:
        own["seeds"] = [] if _varies_seed(study) else [study.cells[0].seed]
    if "table" not in study.raw:  # of the default columns, those that are computed
        measured = {name for place in _places(study) for name in place.metrics}
        own["table"]["metrics"] = [name for name in own["table"]["metrics"] if name in measured]
        if not own["table"]["metrics"]:
            del own["table"]
    return own


def _places(study: Study) -> tuple[PlannedPlace, ...]:
    return planned_places((cell.point, cell.scenario) for cell in study.cells)


def _varies_seed(study: Study) -> bool:
    return len({cell.seed for cell in study.cells}) > 1


def _common(values: Sequence[Any], written: Any) -> Any:
    """The value in which all agree, with parts in which they do not as they are ``written``; or ``DIFFERS``."""
    first = values[0]
    if all(value == first for value in values):
        return first
    fallback = DIFFERS if written is None else written
    if all(isinstance(value, dict) for value in values):
        if len({str(value.get("kind")) for value in values}) > 1:
            return fallback
        return _common_keys(values, written if isinstance(written, Mapping) else {})
    if all(isinstance(value, list) and len(value) == len(first) for value in values):
        items = written if isinstance(written, list) and len(written) == len(first) else [None] * len(first)
        merged = [_common([value[i] for value in values], item) for i, item in enumerate(items)]
        return fallback if any(item is DIFFERS for item in merged) else merged
    return fallback


def _common_keys(values: Sequence[Mapping[str, Any]], written: Mapping[str, Any]) -> dict[str, Any]:
    shared = [key for key in values[0] if all(key in value for value in values)]
    found = {key: _common([value[key] for value in values], written.get(key)) for key in shared}
    return {key: value for key, value in found.items() if value is not DIFFERS}
