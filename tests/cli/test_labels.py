from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scenarios import command, run_federation, scenario

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A federation whose victims share the gradient of one image each: its label is read off the last layer."""
    return run_federation(tmp_path_factory.mktemp("labels") / "run", scenario()).root


def test_json_holds_what_was_asked_for(run: Path, capsys: Capsys) -> None:
    outcome = command(capsys, "labels", run, "--kind", "min_rule", "--kind", "row_sum", "--json")
    assert outcome.code == 0
    scores = json.loads(outcome.out)
    assert [score["inference"] for score in scores] == ["min_rule", "row_sum"]
    assert [(score["updates"], score["by_image"], score["by_class"]) for score in scores] == [(4, 1.0, 1.0)] * 2


def test_the_table_gives_shares_in_percent(run: Path, capsys: Capsys) -> None:
    outcome = command(capsys, "labels", run, "--kind", "min_rule")
    assert outcome.code == 0
    (row,) = [line.split() for line in outcome.out.splitlines() if "min_rule" in line]
    assert [part for part in row if part not in "│┃"] == ["min_rule", "100.0%", "100.0%", "4"]


def test_what_is_no_run_or_no_kind_is_refused(run: Path, tmp_path: Path, capsys: Capsys) -> None:
    assert command(capsys, "labels", tmp_path).errors[0].startswith("RUN_DIR: ")
    outcome = command(capsys, "labels", run, "--kind", "max_rule")
    assert outcome.code == 2
    assert outcome.errors[0].startswith("--kind: got 'max_rule'")
