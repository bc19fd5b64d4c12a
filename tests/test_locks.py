"""Locks between processes: who waits, who is refused, and what a killed holder leaves."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import Timeout

from fedleak.errors import InputError
from fedleak.locks import sole_lock, waiting_lock

HOLD = """
import sys, time
from pathlib import Path
from fedleak.locks import waiting_lock
with waiting_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(120)
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_who_does_not_wait_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with holder(path), pytest.raises(InputError) as caught, sole_lock(path, option="--out"):
        pass
    assert str(caught.value) == f"--out: got {str(tmp_path)!r}; another fedleak process is working there"


def test_a_killed_holder_leaves_the_lock_free(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with holder(path) as process:
        process.kill()
        process.wait()
        with sole_lock(path, option="--out"):
            assert path.is_file()


def test_who_waits_goes_on_when_the_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "key.lock"
    entered = threading.Event()

    def wait() -> None:
        with waiting_lock(path):
            entered.set()

    with holder(path) as process:
        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        assert not entered.wait(0.3)
        process.kill()
        assert entered.wait(10)
        waiting.join(10)


def test_a_lock_is_free_after_its_block_and_its_file_stays(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    for _ in range(2):
        with pytest.raises(KeyError), sole_lock(path, option="--out"):
            raise KeyError
    assert [file.name for file in tmp_path.iterdir()] == [".lock"]


def test_the_second_lock_of_one_process_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with (
        sole_lock(path, option="RUN_DIR"),
        pytest.raises(InputError, match="RUN_DIR"),
        sole_lock(path, option="RUN_DIR"),
    ):
        pass


def test_a_timeout_inside_the_block_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    with pytest.raises(Timeout), sole_lock(tmp_path / ".lock", option="--out"):
        raise Timeout("another")
