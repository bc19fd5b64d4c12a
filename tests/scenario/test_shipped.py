"""Every scenario that ships is valid at every budget, and says what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedleak.scenario.file import load_scenario, read_yaml
from fedleak.studies.study import is_study, load_study

FOLDER = Path(__file__).parents[2] / "scenarios"
FILES = sorted(FOLDER.rglob("*.yaml"))
BUDGETS = [(file, budget) for file in FILES for budget in [None, *read_yaml(file).get("budgets", {})]]


@pytest.mark.parametrize(("file", "budget"), BUDGETS, ids=lambda value: getattr(value, "stem", value))
def test_it_is_valid(file: Path, budget: str | None) -> None:
    loaded = load_study(file, budget=budget) if is_study(read_yaml(file)) else load_scenario(file, budget=budget)
    assert loaded.name == file.stem
    assert loaded.description


def test_the_readme_names_every_scenario() -> None:
    readme = (FOLDER / "README.md").read_text("utf-8")
    assert FILES
    for file in FILES:
        assert f"`{file.relative_to(FOLDER).as_posix()}`" in readme
