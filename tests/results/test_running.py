from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from fedleak.progress import QuietProgress
from fedleak.results.running import RUNNING_JSON, Running, load_running, shared_progress


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedleak.results.running.WRITE_SECONDS", 0.0)


def test_onlookers_see_the_task_that_was_begun_last(tmp_path: Path) -> None:
    with shared_progress(tmp_path, QuietProgress()) as progress:
        progress.task("federation rounds", 2).advance(2, note="test accuracy 0.5")
        task = progress.task("attacking with dlg", 12)
        task.advance(3)
        task.advance(0, note="iteration 5 of 60")
        found = load_running(tmp_path)
        assert found is not None
        assert found.text == "attacking with dlg: 3 of 12, iteration 5 of 60"
        assert (found.pid, found.tasks[0].done) == (os.getpid(), 2)
    assert list(tmp_path.iterdir()) == []


def test_between_tasks_they_see_the_last_line(tmp_path: Path) -> None:
    with shared_progress(tmp_path, QuietProgress()) as progress:
        progress.task("rounds", 1).advance()
        progress.say("attack dlg: 4 images rebuilt")
        found = load_running(tmp_path)
        assert found is not None
        assert found.text == "attack dlg: 4 images rebuilt"


def test_the_file_is_gone_after_a_failure(tmp_path: Path) -> None:
    def interrupted() -> None:
        with shared_progress(tmp_path, QuietProgress()) as progress:
            progress.say("at work")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert load_running(tmp_path) is None
    assert not (tmp_path / RUNNING_JSON).exists()


def left_behind(folder: Path, **changes: object) -> None:
    now = datetime.now(UTC)
    own = {"host": os.uname().nodename, "pid": os.getpid(), "started": psutil.Process().create_time()}
    record = Running.model_validate({**own, "begun": now, "updated": now, **changes})
    (folder / RUNNING_JSON).write_text(record.model_dump_json())


@pytest.mark.parametrize(
    ("changes", "alive"),
    [
        ({}, True),
        ({"started": 0.0}, False),  # the number of the process was given to another one
        ({"pid": 2**22 + 1}, False),
        ({"host": "elsewhere"}, True),
        ({"host": "elsewhere", "updated": datetime.now(UTC) - timedelta(hours=1)}, False),
    ],
)
def test_what_a_killed_process_left_behind_is_not_running(
    tmp_path: Path, changes: dict[str, object], alive: bool
) -> None:
    left_behind(tmp_path, **changes)
    assert (load_running(tmp_path) is not None) is alive


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"pid": 1})])
def test_a_damaged_file_is_nobody_at_work(tmp_path: Path, content: str) -> None:
    (tmp_path / RUNNING_JSON).write_text(content)
    assert load_running(tmp_path) is None


def test_a_folder_that_cannot_be_written_does_not_stop_the_work(tmp_path: Path) -> None:
    with shared_progress(tmp_path / "missing", QuietProgress()) as progress:
        progress.say("at work")
    assert not (tmp_path / "missing").exists()
