"""The studies that ship, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedleak.errors import InputError
from fedleak.scenario.file import read_yaml
from fedleak.studies.study import Study, is_study, load_study


@dataclass(frozen=True)
class Offer:
    """One budget of a study: how much there is to do, and what it cost when it was last measured."""

    budget: str
    cells: int
    federations: int
    minutes: float | None


@dataclass(frozen=True)
class Entry:
    """A study file."""

    path: Path
    name: str
    description: str
    claims: int
    offers: tuple[Offer, ...]


def catalogue(folder: Path) -> Iterator[Entry]:
    """Every study below ``folder``; plain scenarios are passed over.

    Raises:
        InputError: if the folder is missing, or a study in it is wrong.
    """
    if not folder.is_dir():
        raise InputError("FOLDER", str(folder), "there is no such folder of studies")
    for path in sorted(folder.rglob("*.yaml")):
        raw = read_yaml(path)
        if not is_study(raw):
            continue
        budgets = [str(name) for name in raw.get("budgets") or {}]
        studies = {name: load_study(path, budget=name) for name in budgets} or {"": load_study(path)}
        first = next(iter(studies.values()))
        offers = tuple(_offer(name, study) for name, study in studies.items())
        yield Entry(path, first.name, first.description, len(first.settings.claims), offers)


def _offer(budget: str, study: Study) -> Offer:
    federations = {cell.federation for cell in study.cells}
    return Offer(budget, len(study.keys), len(federations), study.settings.costs.get(budget))
