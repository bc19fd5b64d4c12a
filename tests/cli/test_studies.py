from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from fedleak.studies.compare import compare_runs
from fedleak.studies.study import load_study
from tests.scenarios import command, write_scenario
from tests.studies.builders import study, write_study

ROOT = Path(__file__).parents[2]
FALSE = {"at_least": {"metric": "final_accuracy", "value": 0.99}}
TRUE = {"at_least": {"metric": "final_accuracy", "value": 0.001}}


def claims(*items: dict[str, object]) -> list[str]:
    return ["--set", f"claims={json.dumps(items)}", "--serial", "--quiet"]


def test_verify_is_for_continuous_integration(copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_study(tmp_path)
    assert command(capsys, "verify", file, "--out", copied, *claims(TRUE)).code == 0
    assert command(capsys, "verify", file, "--out", copied, *claims(TRUE, FALSE)).code == 1
    assert command(capsys, "verify", file, "--out", copied, *claims()).code == 1
    open_ = {"correlates": {"x": "mse", "y": "psnr", "along": "pairs"}}  # at two points
    assert command(capsys, "verify", file, "--out", copied, *claims(open_)).code == 1
    assert command(capsys, "verify", file, "--out", copied, *claims(open_), "--allow-inconclusive").code == 0


def test_study_prints_table_verdicts_and_report(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = command(capsys, "study", write_study(tmp_path), "--out", copied, *claims(FALSE)[:-1])
    assert outcome.code == 0  # a finding that does not hold is a result, no failure
    assert "not reproduced: final_accuracy of every attack is at least 0.99" in outcome.out
    assert "report.html" in outcome.out


def test_a_failed_cell_makes_the_exit_code_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_study(tmp_path, matrix={"adversary.injection.pairs": [61]}, claims=[])
    outcome = command(capsys, "study", file, "--out", tmp_path / "out", "--serial", "--quiet")
    assert outcome.code == 1
    assert "60 public images" in outcome.err
    assert outcome.out == f"{tmp_path / 'out' / 'report.html'}\n"


def test_wrong_studies_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_study(tmp_path, claims=[{"monotone": {"metric": "mse", "along": "x", "direction": "decreasing"}}])
    outcome = command(capsys, "study", file, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert outcome.errors[0].startswith("claims.0.along: got 'x'; no such axis")
    assert not (tmp_path / "out").exists()
    assert command(capsys, "study", "no-such-study").code == 2


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_study_is_valid_at_every_budget(path: Path) -> None:
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "matrix" not in raw:
        pytest.skip("a plain scenario")
    assert {"smoke", "quick", "paper"} <= set(raw["budgets"])
    for budget in (None, *raw["budgets"]):
        assert load_study(path, budget=budget).settings.claims


def test_studies_lists_what_ships(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = command(capsys, "studies", ROOT / "scenarios")
    assert outcome.code == 0
    assert all(word in outcome.out for word in ("git-t7", "smoke", "quick", "paper"))


def test_compare_tells_runs_apart_by_what_differs(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = sorted((finished / "cells").iterdir())
    compared = compare_runs(runs)
    assert set(compared.axes) == {"adversary.injection.pairs", "attacks.lti.hidden"}
    assert {tuple(cell.point.values()) for cell in compared.cells} == {(30, 4), (30, 8), (60, 4), (60, 8)}
    outcome = command(capsys, "compare", *runs, "--out", tmp_path / "compare.html")
    assert outcome.code == 0
    assert "baseline_mean_image" in outcome.out
    assert "<svg" not in (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert command(capsys, "compare", runs[0], runs[0]).code == 2


def test_a_studys_claims_can_be_overridden_from_the_command_line() -> None:
    assert load_study(study(), overrides=[claims(TRUE)[1]]).settings.claims[0].kind == "at_least"


def test_what_needs_the_other_sort_of_file_names_its_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (error,) = command(capsys, "federate", write_study(tmp_path), "--out", tmp_path / "out").errors
    assert error.startswith("SCENARIO: got ")
    assert error.endswith("it is a study (it has matrix, claims); use 'fedleak study'")
    outcome = command(capsys, "verify", write_scenario(tmp_path), "--out", tmp_path / "out")
    assert outcome.code == 2
    assert outcome.errors[0].endswith("use 'fedleak run'")
    assert not (tmp_path / "out").exists()


def test_validate_knows_studies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = command(capsys, "validate", write_study(tmp_path), "--data", "--show")
    assert outcome.code == 0
    assert "small.yaml: valid, 4 cells, and its data fit" in outcome.out
    assert "matrix:" in outcome.out
    bad = command(capsys, "validate", write_study(tmp_path), "--set", "seeds=many")
    assert (bad.code, bad.errors[0].split(":")[0]) == (2, "seeds")
