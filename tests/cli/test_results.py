"""The commands of the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedleak.studies.ledger import load_entry, load_ledger
from tests.scenarios import command

Capsys = pytest.CaptureFixture[str]


def test_keep_withdraw_and_write(finished: Path, tmp_path: Path, capsys: Capsys) -> None:
    kept = command(capsys, "results", "keep", finished, "--into", tmp_path / "paper")
    assert kept.code == 0
    (file,) = (tmp_path / "paper" / "results").glob("*/*.json")
    assert kept.out == f"{file}\n"
    assert load_entry(file).source == "run"
    written = command(capsys, "results", "write", tmp_path)
    assert written.out == f"{tmp_path / 'paper' / 'RESULTS.md'}\n"
    assert command(capsys, "results", "withdraw", file, "--reason", "a test").code == 0
    (run,) = load_ledger(tmp_path / "paper")
    assert run.withdrawal is not None
    assert command(capsys, "results", "write", tmp_path / "paper").code == 0
    assert "a test" in (tmp_path / "paper" / "RESULTS.md").read_text()


def test_a_run_is_kept_once(finished: Path, tmp_path: Path, capsys: Capsys) -> None:
    assert command(capsys, "results", "keep", finished, "--into", tmp_path).code == 0
    outcome = command(capsys, "results", "keep", finished, "--into", tmp_path)
    assert outcome.code == 2
    assert "added and never changed" in outcome.err


def test_without_a_folder_only_shipped_studies_are_kept(finished: Path, tmp_path: Path, capsys: Capsys) -> None:
    outcome = command(capsys, "results", "keep", finished)
    assert outcome.code == 2
    assert outcome.errors[0].startswith("--into: ")
    assert command(capsys, "results", "keep", tmp_path).errors[0].startswith("STUDY_DIR: ")
    assert command(capsys, "results", "write", tmp_path).errors[0].startswith("FOLDER: ")
