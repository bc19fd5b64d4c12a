"""Damaged, foreign and crafted transcripts are refused with one message, and nothing is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedleak.errors import InputError
from fedleak.run_directory import RunDirectory
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import command, tree

CopiedRun = Callable[[], RunDirectory]
Capsys = pytest.CaptureFixture[str]


def change_manifest(run: RunDirectory, **changes: Any) -> None:
    """Replace entries of the manifest; checksums of the files that are there are made to fit."""
    path = run.transcript / "manifest.json"
    raw = json.loads(path.read_text()) | changes
    for name in raw["checksums"]:
        if (run.transcript / name).is_file():
            raw["checksums"][name] = hashlib.sha256((run.transcript / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(raw))


def check_refused(run: RunDirectory, capsys: Capsys, *, words: str) -> None:
    """``fedleak attack`` exits 2 with one message and leaves the directory as it was."""
    before = tree(run.root)
    outcome = command(capsys, "attack", run.root)
    assert outcome.code == 2, outcome.err
    assert len(outcome.errors) == 1
    assert words in outcome.errors[0]
    assert {name: digest for name, digest in tree(run.root).items() if name in before} == before
    assert not (run.root / "results.json").exists()


@pytest.mark.parametrize("position", [0, 150, -1])
@pytest.mark.parametrize(
    "name", ["updates.npy", "pairs/updates.npy", "public/images.npy", "models/version-00001.safetensors"]
)
def test_a_flipped_bit_is_noticed(copied_run: CopiedRun, name: str, position: int) -> None:
    path = copied_run().transcript / name
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"transcript: got '{name}'; its checksum does not match"):
        TranscriptReader(path.parents[name.count("/")])


def test_damage_through_the_command_line(copied_run: CopiedRun, capsys: Capsys) -> None:
    run = copied_run()
    path = run.transcript / "updates.npy"
    content = path.read_bytes()
    path.write_bytes(bytes(len(content) - 8) + content[-8:])
    check_refused(run, capsys, words="updates.npy")
    path.write_bytes(content[:-4])
    check_refused(run, capsys, words="the file is damaged")
    path.write_bytes(content[:-4] + bytes(4))
    check_refused(run, capsys, words="its checksum does not match")
    path.unlink()
    check_refused(run, capsys, words="the file is missing")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not a readable manifest"),
        ("[]", "expected format 'fedleak-transcript', version 1"),
        ('{"format": "fedleak-transcript", "version": 2}', "got ('fedleak-transcript', 2)"),
        ('{"format": "breaching", "version": 1}', "got ('breaching', 1)"),
        ('{"format": "fedleak-transcript", "version": 1}', "transcript."),
    ],
)
def test_foreign_manifests(copied_run: CopiedRun, capsys: Capsys, content: str, words: str) -> None:
    run = copied_run()
    (run.transcript / "manifest.json").write_text(content)
    check_refused(run, capsys, words=words)


def test_no_manifest_means_not_finished(copied_run: CopiedRun, capsys: Capsys) -> None:
    run = copied_run()
    (run.transcript / "manifest.json").unlink()
    check_refused(run, capsys, words="no finished transcript")


@pytest.mark.parametrize(
    "escape", ["../scenario.yaml", "../truth/updates.json", "models/../../scenario.yaml", "/etc/hostname"]
)
def test_a_manifest_cannot_point_outside(copied_run: CopiedRun, capsys: Capsys, escape: str) -> None:
    run = copied_run()
    raw = json.loads((run.transcript / "manifest.json").read_text())
    change_manifest(run, checksums={**raw["checksums"], escape: "0" * 64})
    check_refused(run, capsys, words="a file must be inside the transcript")


def test_a_link_cannot_point_outside(copied_run: CopiedRun, capsys: Capsys) -> None:
    run = copied_run()
    path = run.transcript / "public/images.npy"
    path.unlink()
    path.symlink_to(run.truth / "00001/images.npy")
    change_manifest(run)
    check_refused(run, capsys, words="a file must be inside the transcript")


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("updates.npy", np.zeros((4, 3), dtype=np.float32)),
        ("updates.npy", np.zeros((1, 460), dtype=np.float32)),
        ("pairs/updates.npy", np.zeros((2, 460), dtype=np.float32)),
        ("pairs/index.npy", np.zeros((60, 2), dtype=np.int64)),
        ("pairs/index.npy", np.full((60, 1), 60, dtype=np.int64)),
        ("pairs/index.npy", np.zeros((60, 1), dtype=np.float64)),
        ("public/images.npy", np.zeros((60, 3, 8, 8), dtype=np.uint8)),
        ("public/labels.npy", np.zeros(59, dtype=np.int64)),
        ("public/labels.npy", np.array([None] * 60, dtype=object)),
    ],
)
def test_arrays_that_do_not_fit_the_manifest(
    copied_run: CopiedRun, capsys: Capsys, name: str, array: np.ndarray[Any, Any]
) -> None:
    run = copied_run()
    np.save(run.transcript / name, array, allow_pickle=array.dtype.hasobject)
    change_manifest(run)
    check_refused(run, capsys, words=name)


def test_an_unknown_model(copied_run: CopiedRun, capsys: Capsys) -> None:
    run = copied_run()
    change_manifest(run, model={"kind": "transformer"})
    check_refused(run, capsys, words="known kinds: convnet, densenet, factory")


def test_a_transcript_of_another_federation(copied_run: CopiedRun, capsys: Capsys) -> None:
    run = copied_run()
    change_manifest(run, fingerprint="0" * 64)
    check_refused(run, capsys, words="other federation settings")


def test_the_federation_cannot_be_overridden_afterwards(copied_run: CopiedRun, capsys: Capsys) -> None:
    run = copied_run()
    before = tree(run.root)
    outcome = command(capsys, "attack", run.root, "--set", "federation.rounds=1")
    assert outcome.code == 2
    assert "cannot be overridden" in outcome.errors[0]
    assert tree(run.root) == before


def test_a_damaged_transcript_is_made_again_with_force_only(
    finished_run: RunDirectory, copied_run: CopiedRun, capsys: Capsys
) -> None:
    run = copied_run()
    path = run.transcript / "updates.npy"
    path.write_bytes(b"\0" * path.stat().st_size)
    scenario_file = Path(run.root / "scenario.yaml")
    copy = run.root.parent / "again.yaml"
    copy.write_text(scenario_file.read_text())
    assert command(capsys, "run", copy, "--out", run.root, "--quiet").code == 2
    assert command(capsys, "run", copy, "--out", run.root, "--quiet", "--force").code == 0
    assert tree(run.transcript) == tree(finished_run.transcript)
