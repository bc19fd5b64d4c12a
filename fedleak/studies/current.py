"""What a study says today: the claims and settings of its file, by which earlier runs are seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedleak.scenario.budgets import apply_budget, named_budgets
from fedleak.scenario.reader import read_yaml
from fedleak.studies.claims.base import Claim
from fedleak.studies.ledger import claim_digest
from fedleak.studies.places import without_places
from fedleak.studies.schema import Published
from fedleak.studies.study import is_study, set_study_path, study_settings

SHOWN = {"name", "description", "claims", "published", "figure", "table", "resources", "costs", "budget", "budgets"}
"""Blocks of a study that change no number."""


@dataclass(frozen=True)
class CurrentClaim:
    """A claim of a study file, under one of its budgets."""

    statement: str
    digest: str


@dataclass(frozen=True)
class CurrentStudy:
    """A study file under one budget."""

    description: str
    published: Published
    claims: tuple[CurrentClaim, ...]
    settings: Mapping[str, Any]
    """The whole file with the budget applied."""

    def differences(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """The blocks in which a run's settings differ from these; claims and what is only shown do not count."""
        today = without_places(dict(self.settings))
        blocks = sorted(({*today, *settings}) - SHOWN)
        return tuple(block for block in blocks if today.get(block) != settings.get(block))


def study_files(folder: Path) -> dict[str, Path]:
    """Name -> file of every study or scenario directly in a paper's folder."""
    return {str(read_yaml(path).get("name", path.stem)): path for path in sorted(folder.glob("*.yaml"))}


def current_study(path: Path, budget: str | None) -> CurrentStudy | None:
    """The study of a file under a budget; None if the file has no such budget.

    A plain scenario is a study without claims.

    Raises:
        InputError: if the file is not valid.
    """
    raw: dict[str, Any] = read_yaml(path)
    description = str(raw.get("description", ""))
    if budget is not None and budget not in named_budgets(raw.get("budgets") or {}):
        return None
    if not is_study(raw):
        return CurrentStudy(description, Published(), (), raw)
    apply_budget(raw, budget, (), owner="study", set_path=set_study_path)
    settings = study_settings(raw)
    return CurrentStudy(description, settings.published, tuple(map(_claim, settings.claims)), raw)


def _claim(claim: Claim) -> CurrentClaim:
    return CurrentClaim(claim.says or claim.statement(), claim_digest(claim))
