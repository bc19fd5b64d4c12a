"""A study with every default loads as the same cells; settings in which they differ stay with the matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedleak.scenario.reader import parse_yaml
from fedleak.studies.resolved import study_with_defaults
from fedleak.studies.study import load_study
from tests.scenarios import command
from tests.studies.builders import study, write_study

SHIPPED = Path(__file__).parents[2] / "scenarios"


@pytest.mark.parametrize(
    ("file", "budget"),
    [
        ("git/git-t7.yaml", None), ("git/git-t7.yaml", "smoke"), ("git/git-t2.yaml", "smoke"),
        ("sok/sok-f11.yaml", "smoke"), ("sok/staleness.yaml", "smoke"), ("defenses/frontier.yaml", "smoke"),
        ("optimization/fedavg-optimizers.yaml", "smoke"),
    ],
)  # fmt: skip
def test_a_shipped_study_loads_as_the_same_cells(file: str, budget: str | None) -> None:
    loaded = load_study(SHIPPED / file, budget=budget)
    again = load_study(parse_yaml(study_with_defaults(loaded)))
    assert again.keys == loaded.keys
    assert [(cell.point, cell.seed) for cell in again.cells] == [(cell.point, cell.seed) for cell in loaded.cells]
    assert again.settings.claims == loaded.settings.claims


def shown(**blocks: Any) -> dict[str, Any]:
    raw: dict[str, Any] = parse_yaml(study_with_defaults(load_study(study(**blocks))))
    return raw


def test_defaults_are_written_and_what_varies_is_left_as_it_stood() -> None:
    found = shown()
    assert found["federation"]["client"]["local_learning_rate"] == 0.01
    assert found["resources"] == {"cpus": 1.0, "gpus": 0.0, "memory_gib": 1.0}
    assert found["seeds"] == [0]
    assert found["attacks"][0]["training"]["weight_decay"] == 1e-4
    assert found["attacks"][0]["hidden"] == 8, "as in the file, although the matrix sets it"
    assert found["matrix"] == study()["matrix"]


def test_kinds_that_differ_stand_as_in_the_file() -> None:
    matrix = {"attacks.0": [{"kind": "lti", "hidden": 8}, {"kind": "git_coarse", "hidden": 8}]}
    found = shown(matrix=matrix, claims=[])
    assert found["attacks"] == study()["attacks"]


def test_columns_that_no_cell_computes_are_left_out() -> None:
    found = shown(metrics={"lpips": None})
    assert found["table"]["metrics"] == ["mse", "psnr"]


def test_costs_of_other_budgets_are_left_out() -> None:
    budgets = {"more": {"seeds": [0, 1]}, "less": {"seeds": [0]}}
    loaded = load_study(study(budgets=budgets, costs={"more": 2, "less": 1}), budget="more")
    found = parse_yaml(study_with_defaults(loaded))
    assert (found["costs"], found["budget"], found["seeds"]) == ({"more": 2.0}, "more", [0, 1])


def test_validate_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = command(capsys, "validate", write_study(tmp_path), "--show")
    text, _, last = outcome.out.strip().rpartition("\n")
    assert last.endswith("valid, 4 cells")
    assert parse_yaml(text)["federation"]["client"]["proximal_mu"] == 0.0
    assert load_study(parse_yaml(text)).keys == load_study(study()).keys
