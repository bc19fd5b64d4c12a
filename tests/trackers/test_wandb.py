from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from fedleak.errors import InputError, TrackingError
from fedleak.trackers.wandb import Wandb, _project
from tests.trackers.builders import entry

wandb = pytest.importorskip("wandb")
BLOCK = 2**15
"""Bytes of a block of such a log."""


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No login of the machine is used, and nothing is written outside the test's folder."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    for name in ("HOME", "NETRC", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


def records(folder: Path) -> list[Any]:
    """What the library wrote to the run's file: messages in records of a log as LevelDB has it, after a header."""
    from wandb.proto import wandb_internal_pb2

    (file,) = folder.rglob("*.wandb")
    content, place, found, message = file.read_bytes(), 7, [], b""
    assert content[:4] == b":W&B"
    while place + 7 <= len(content):
        if BLOCK - place % BLOCK < 7:  # the rest of a block is empty
            place += BLOCK - place % BLOCK
            continue
        _, length, part = struct.unpack("<IHB", content[place : place + 7])
        message += content[place + 7 : place + 7 + length]
        place += 7 + length
        if part in (1, 4):  # a whole message, or its last part
            found.append(wandb_internal_pb2.Record.FromString(message))
            message = b""
    return found


def test_everything_is_read_back_from_the_offline_run(tmp_path: Path) -> None:
    target = tmp_path / "runs"
    assert Wandb(target=str(target)).log(entry(tmp_path))
    found = records(target)
    (run,) = [record.run for record in found if record.WhichOneof("record_type") == "run"]
    assert (run.project, run.display_name) == ("a study", "pairs=30, seed 0")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert (config["federation.clients"], config["model.kind"]) == (4, "mlp")
    curve = [
        json.loads(item.value_json)
        for record in found
        for item in record.history.item
        if "curve/lti/held_out" in (item.key, *item.nested_key)
    ]
    assert curve == [0.5, 0.4, 0.3]
    summary = {
        item.key or ".".join(item.nested_key): json.loads(item.value_json)
        for record in found
        for item in record.summary.update
    }
    assert summary["score/lti/mse"] == 0.25
    assert (summary["score/lti/mse_low"], summary["score/lti/mse_high"]) == (0.2, 0.3)
    assert summary["cost/lti/training_seconds"] == 1.5
    assert summary["fact/claim 1"] == "reproduced: it holds"
    assert len(list(target.rglob("media/images/**/*.png"))) == 2


def test_what_was_logged_is_not_logged_again(tmp_path: Path) -> None:
    tracker = Wandb(target=str(tmp_path / "runs"))
    assert tracker.log(entry(tmp_path))
    assert not tracker.log(entry(tmp_path))
    assert len(list(tmp_path.rglob("*.wandb"))) == 1


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(InputError, match="is a file; expected a folder"):
        Wandb(target=str(tmp_path / "runs")).check()
    with pytest.raises(TrackingError, match="wandb: "):
        Wandb(target=str(tmp_path / "runs")).log(entry(tmp_path))


def test_online_needs_a_login_and_an_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="there is no login; run 'wandb login'"):
        Wandb(target="online:a-team").check()
    with pytest.raises(InputError, match="expected online:ENTITY"):
        Wandb(target="online:").check()
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    Wandb(target="online:a-team").check()


def test_a_project_has_a_name_that_the_service_accepts() -> None:
    assert _project("a/b#c?") == "a_b_c_"
    assert _project("") == "fedleak"
    assert len(_project("x" * 300)) == 128
