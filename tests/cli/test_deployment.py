"""``fedleak deployment keys`` and ``deal`` as a user types them; tests/federation/deployment runs what they prepare."""

from __future__ import annotations

import shlex
import stat
from pathlib import Path

import numpy as np
import pytest

from tests.scenarios import command, write_scenario

Capture = pytest.CaptureFixture[str]


def test_keys_are_made_for_the_user_alone_and_the_commands_name_them(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "keys of mine"
    outcome = command(capsys, "deployment", "keys", str(folder), "--nodes", "2", "--address", "127.0.0.1:8123")
    assert outcome.code == 0, outcome.err
    lines = [shlex.split(line) for line in outcome.out.splitlines()]
    starts = [next(word for word in line if "=" not in word) for line in lines]
    assert starts == ["flower-superlink", "flwr", "flwr", "flower-supernode", "flower-supernode", "fedleak"]
    for line in lines[:1] + lines[3:5]:
        named = [Path(word) for word in line if word.startswith(str(folder))]
        assert named
        assert all(path.is_file() for path in named)
    private = (folder / "ca.key", folder / "superlink.key", folder / "superexec.secret", folder / "node-00001")
    assert [stat.S_IMODE(path.stat().st_mode) for path in private] == [0o600] * 4


def test_keys_that_are_there_are_kept(tmp_path: Path, capsys: Capture) -> None:
    command(capsys, "deployment", "keys", str(tmp_path / "keys"), "--nodes", "1")
    before = (tmp_path / "keys/node-00000").read_bytes(), (tmp_path / "keys/ca.crt").read_bytes()
    assert command(capsys, "deployment", "keys", str(tmp_path / "keys"), "--nodes", "2").code == 0
    assert ((tmp_path / "keys/node-00000").read_bytes(), (tmp_path / "keys/ca.crt").read_bytes()) == before
    assert (tmp_path / "keys/node-00001").is_file()


@pytest.mark.parametrize("address", ["somewhere", "127.0.0.1:99999999", ":8000"])
def test_an_address_that_is_none_is_refused(address: str, tmp_path: Path, capsys: Capture) -> None:
    outcome = command(capsys, "deployment", "keys", str(tmp_path / "keys"), "--address", address)
    assert outcome.code == 2
    assert address in outcome.err
    assert "Traceback" not in outcome.err


def test_each_client_is_dealt_the_images_of_the_plan(tmp_path: Path, capsys: Capture) -> None:
    path = write_scenario(tmp_path)
    outcome = command(capsys, "deployment", "deal", str(path), str(tmp_path / "dealt"))
    assert outcome.code == 0, outcome.err
    folders = sorted((tmp_path / "dealt").iterdir())
    assert [folder.name for folder in folders] == [f"{client:05d}" for client in range(len(folders))]
    for folder, line in zip(folders, outcome.out.splitlines(), strict=True):
        images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
        assert line == f"{folder}: {len(images)} images"
        assert len(images) == len(labels) > 0
        assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
