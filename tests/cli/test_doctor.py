from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scenarios import command, write_scenario

QUIET = {"attacks": [{"kind": "dlg", "iterations": 1}], "adversary": {"level": 1}}


def test_a_healthy_scenario_exits_with_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = command(capsys, "doctor", write_scenario(tmp_path, **QUIET))
    assert (done.code, "nothing found" in done.out) == (0, True)


def test_warnings_do_not_fail_and_errors_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_scenario(tmp_path)
    assert command(capsys, "doctor", path).code == 0
    done = command(capsys, "doctor", path, "--set", "device=cuda:63")
    assert done.code == 1
    assert done.out.startswith("error: device cuda:63 is not available")
    assert "do:  set device: auto or cpu" in done.out


def test_json_lists_what_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = command(capsys, "doctor", write_scenario(tmp_path), "--set", "adversary.level=0", "--json")
    (first, *_) = json.loads(done.out)
    assert done.code == 1
    assert first["check"] == "settings"
    assert set(first) == {"check", "severity", "what", "why", "remedy"}


def test_a_study_is_examined_cell_by_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_scenario(tmp_path, matrix={"device": ["cpu", "cuda:63"]})
    findings = json.loads(command(capsys, "doctor", path, "--json").out)
    assert next(f["what"] for f in findings if f["severity"] == "error").startswith("device cuda:63")


def test_a_path_to_nothing_is_an_input_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(capsys, "doctor", tmp_path / "none.yaml").code == 2
