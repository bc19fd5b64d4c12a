"""The shipped studies and their costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedleak.errors import InputError
from fedleak.scenario.budgets import named_budgets
from fedleak.scenario.reader import read_yaml
from fedleak.studies.study import Study, is_study, load_study


@dataclass(frozen=True)
class Budget:
    """One budget of a study: its cells and federations, and its last measured cost."""

    name: str
    cells: int
    federations: int
    minutes: float | None


@dataclass(frozen=True)
class ShippedStudy:
    """A study file with the cost of each budget."""

    path: Path
    name: str
    description: str
    claims: int
    budgets: tuple[Budget, ...]


def catalogue(folder: Path) -> Iterator[ShippedStudy]:
    """Every study below ``folder``; plain scenarios are skipped.

    Raises:
        InputError: if the folder is missing, or a study in it is invalid.
    """
    if not folder.is_dir():
        raise InputError("FOLDER", str(folder), "there is no such folder of studies")
    for path in sorted(folder.rglob("*.yaml")):
        raw = read_yaml(path)
        if not is_study(raw):
            continue
        names = list(named_budgets(raw.get("budgets") or {}))
        studies = {name: load_study(path, budget=name) for name in names} or {"": load_study(path)}
        first = next(iter(studies.values()))
        budgets = tuple(_budget(name, study) for name, study in studies.items())
        yield ShippedStudy(path, first.name, first.description, len(first.settings.claims), budgets)


def _budget(name: str, study: Study) -> Budget:
    federations = {cell.federation for cell in study.cells}
    return Budget(name, len(study.keys), len(federations), study.settings.costs.get(name))
