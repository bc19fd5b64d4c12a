"""A budget is applied however it is chosen: by the command line, by an override, or in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fedleak.errors import InputError
from fedleak.scenario.budgets import apply_budget
from fedleak.scenario.file import load_scenario, set_path, to_yaml
from fedleak.studies.study import load_study, resolved_text
from tests.scenarios import command, tiny, write_scenario
from tests.studies.builders import study

CHOICES: list[dict[str, Any]] = [
    {"budget": "long"},
    {"overrides": ["budget=long"]},
    {"inside": "long"},
    {"inside": "long", "budget": "long", "overrides": ["budget=long"]},
    {"inside": "short", "budget": "long"},
    {"inside": "short", "overrides": ["budget=short", "budget=long"]},
]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_it_is_applied_wherever_it_is_chosen(choice: dict[str, Any]) -> None:
    raw = tiny() | {"budgets": {"long": {"federation.rounds": 7}, "short": {"federation.rounds": 1}}}
    given = {key: value for key, value in choice.items() if key != "inside"}
    loaded = load_scenario(raw | ({"budget": choice["inside"]} if "inside" in choice else {}), **given)
    assert (loaded.budget, loaded.federation.rounds) == ("long", 7)
    raw = study()
    raw["budgets"]["short"] = {"seeds": [5]}
    raw["budgets"]["long"] = raw["budgets"]["more"]
    cells = load_study(raw | ({"budget": choice["inside"]} if "inside" in choice else {}), **given)
    assert cells.budget == "long"
    assert cells.keys == load_study(study(), budget="more").keys


def test_overrides_come_after_a_budget_of_the_file() -> None:
    loaded = load_scenario(tiny() | {"budget": "long"}, overrides=["federation.rounds=3"])
    assert (loaded.budget, loaded.federation.rounds) == ("long", 3)


def test_null_chooses_none() -> None:
    loaded = load_scenario(tiny() | {"budget": "long"}, overrides=["budget=null"])
    assert (loaded.budget, loaded.federation.rounds) == (None, 2)


@pytest.mark.parametrize(
    ("changes", "arguments", "path", "allowed"),
    [
        ({"budget": "foo"}, {}, "budget", "the scenario's budgets: long"),
        ({"budget": "foo", "budgets": {}}, {}, "budget", "the scenario's budgets: none"),
        ({"budget": True}, {}, "budget", "the scenario's budgets: long"),
        ({"budget": ["long"]}, {}, "budget", "the scenario's budgets: long"),
        ({}, {"budget": "foo"}, "--budget", "the scenario's budgets: long"),
        ({}, {"budget": "long", "overrides": ["budget=short"]}, "--set", "also says --budget long; keep one"),
        ({"budgets": ["long"]}, {"budget": "long"}, "budgets", "expected a mapping of name"),
        ({"budgets": {"long": [1]}}, {"budget": "long"}, "budgets.long", "expected a mapping of path"),
        ({"budgets": {"long": {"budget": "x"}}}, {"budget": "long"}, "budget", "override the setting itself"),
        ({"budgets": {"long": {"budgets.x": {}}}}, {"budget": "long"}, "budgets.x", "override the setting itself"),
        ({}, {"overrides": ["budgets.long.seed=1"]}, "budgets.long.seed", "override the setting itself"),
    ],
)
def test_what_would_not_be_applied_is_refused(
    changes: dict[str, Any], arguments: dict[str, Any], path: str, allowed: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_scenario(tiny() | changes, **arguments)
    assert caught.value.path == path
    assert allowed in caught.value.allowed


def test_a_matrix_chooses_no_budget() -> None:
    with pytest.raises(InputError, match=r"^budget \(in the cell budget=more\): got 'more'; the scenario's budgets"):
        load_study(study(matrix={"budget": ["more"]}, claims=[]))


def test_a_resolved_file_applies_its_budget_no_second_time(tmp_path: Path) -> None:
    loaded = load_scenario(tiny(), budget="long", overrides=["federation.rounds=3"])
    again = load_scenario(yaml.safe_load(to_yaml(loaded)))
    assert (again.budget, again.federation.rounds) == ("long", 3)
    assert load_scenario(again.model_dump()) == again
    cells = load_study(study(), budget="more", overrides=["seeds=[4]"])
    assert load_study(yaml.safe_load(resolved_text(cells))).keys == cells.keys


def test_a_budget_of_the_file_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_scenario(tmp_path, budget="foo")
    outcome = command(capsys, "validate", path)
    assert outcome.errors == ["budget: got 'foo'; the scenario's budgets: long"]
    assert outcome.code == 2


def test_the_other_overrides_remain_in_order() -> None:
    raw: dict[str, Any] = {"budgets": {"b": {"x.y": 1}}}
    rest = apply_budget(raw, None, [("a", 1), ("budget", "b"), ("a", 2)], owner="scenario", set_path=set_path)
    assert rest == [("a", 1), ("a", 2)]
    assert raw == {"x": {"y": 1}, "budget": "b", "budgets": {"b": {}}}
