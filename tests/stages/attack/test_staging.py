from __future__ import annotations

from pathlib import Path

import pytest

from fedleak.run_directory import RunDirectory
from fedleak.stages.attack import staging
from fedleak.stages.attack.staging import Staging


def stage(tmp_path: Path) -> tuple[Staging, Path, Path]:
    """A folder of one attack, where it writes, and where its files are collected."""
    run, files = RunDirectory(tmp_path / "run"), RunDirectory(tmp_path / "staged")
    (files.attacks / "lti").mkdir(parents=True)
    return Staging(tmp_path / "staged", run, ["lti"]), files.attacks / "lti", run.attacks / "lti"


def test_new_and_changed_files_are_collected_and_removed_ones_go(tmp_path: Path) -> None:
    folder, own, target = stage(tmp_path)
    (own / "part-00000.safetensors").write_bytes(b"first")
    (own / "unfinished.json").write_text("{}")
    folder.collect()
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        "part-00000.safetensors": b"first",
        "unfinished.json": b"{}",
    }
    (own / "part-00000.safetensors").write_bytes(b"second")
    (own / "unfinished.json").unlink()
    folder.collect()
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"part-00000.safetensors": b"second"}


def test_a_file_that_goes_away_while_files_are_collected_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, own, target = stage(tmp_path)
    (own / "part-00000.safetensors").write_bytes(b"kept")
    (own / "unfinished.json").write_text("{}")
    folder.collect()
    listed = staging._plain_files

    def removed_after_listing(where: Path) -> list[Path]:
        found = listed(where)
        (own / "unfinished.json").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(staging, "_plain_files", removed_after_listing)
    folder.collect()
    assert (target / "part-00000.safetensors").read_bytes() == b"kept"
    folder.collect()
    assert not (target / "unfinished.json").exists()
