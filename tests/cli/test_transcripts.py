"""``fedleak transcript check``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fedleak.audit.recording import write_observed_run
from fedleak.models.factory import CONSENT
from fedleak.records import write_atomically
from fedleak.run_directory import RunDirectory
from fedleak.transcript.manifest import MANIFEST, file_digest
from tests.audit.observations import PATH, about, observations
from tests.scenarios import command

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    monkeypatch.setenv(CONSENT, PATH)
    return write_observed_run(observations(), about(), tmp_path / "run")


def manifest_of(run: RunDirectory, **changes: object) -> None:
    """Change the manifest, and take the files as they are now."""
    raw = json.loads((run.transcript / MANIFEST).read_text()) | changes
    raw["checksums"] = {name: file_digest(run.transcript / name) for name in raw["checksums"]}
    write_atomically(run.transcript / MANIFEST, json.dumps(raw))


def test_a_sound_run_is_valid_with_its_facts(run: RunDirectory, capsys: Capture) -> None:
    outcome = command(capsys, "transcript", "check", str(run.root))
    assert outcome.code == 0
    assert "fedleak-transcript, version 1" in outcome.out
    assert "4, 4 usable" in outcome.out
    assert outcome.out.strip().endswith("valid")
    found = json.loads(command(capsys, "transcript", "check", str(run.transcript), "--json").out)
    assert found["problems"] == []
    assert any("no scenario.yaml beside it" in remark for remark in found["remarks"])


def test_every_damaged_or_missing_file_is_named_at_once(run: RunDirectory, capsys: Capture) -> None:
    with (run.transcript / "updates.npy").open("ab") as file:
        file.write(b"x")
    (run.transcript / "models/version-00001.safetensors").unlink()
    (run.transcript / "notes.txt").touch()
    outcome = command(capsys, "transcript", "check", str(run.root))
    assert outcome.code == 2
    assert "updates.npy: its checksum does not match" in outcome.err
    assert "version-00001.safetensors: the file is missing" in outcome.err
    assert "1 files are not listed in the manifest" in outcome.out


def test_numbers_that_no_attack_can_use_are_found(run: RunDirectory, capsys: Capture) -> None:
    shutil.rmtree(run.truth)
    rows = np.load(run.transcript / "updates.npy")
    rows[2] = np.nan
    np.save(run.transcript / "updates.npy", rows)
    manifest_of(run)
    outcome = command(capsys, "transcript", "check", str(run.root))
    assert outcome.code == 2
    assert "row 2 (round 2, client 0) holds NaN" in outcome.err


def test_a_contradiction_to_the_scenario_is_found(run: RunDirectory, capsys: Capture) -> None:
    shutil.rmtree(run.truth)
    manifest_of(run, classes=3, class_names=["a", "b", "c"])
    outcome = command(capsys, "transcript", "check", str(run.root))
    assert outcome.code == 2
    assert "transcript.classes" in outcome.err
    assert "dataset.classes of the scenario says 10" in outcome.err


def test_what_is_no_transcript_is_an_input_error(tmp_path: Path, capsys: Capture) -> None:
    assert command(capsys, "transcript", "check", str(tmp_path / "none")).code == 2
    outcome = command(capsys, "transcript", "check", str(tmp_path))
    assert outcome.code == 2
    assert "it contains no finished transcript" in outcome.err
