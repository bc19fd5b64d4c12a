"""The oracle sees what it should see: commands that misbehave in each way that it knows."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fedleak.errors import InputError
from tests.fuzz import guard, oracle
from tests.fuzz.oracle import Outcome, faults


def outcome_of(monkeypatch: pytest.MonkeyPatch, folder: Path, command: Callable[[], object]) -> Outcome:
    """What the oracle sees of a command line that does ``command``, and may write to ``folder``."""
    monkeypatch.setattr(oracle, "main", lambda _: command())
    return oracle.fedleak(["x"], folder)


def test_a_good_command_has_no_fault(tmp_path: Path) -> None:
    outcome = oracle.fedleak(["--version"], tmp_path)
    assert faults(outcome) == []
    assert outcome.code == 0


def test_a_refusal_has_no_fault(tmp_path: Path) -> None:
    outcome = oracle.fedleak(["validate", "no-such-scenario"], tmp_path)
    assert faults(outcome) == []
    assert outcome.code == 2


def test_an_exception_is_named_with_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def command() -> None:
        raise InputError("a", 1, "expected nothing")

    (fault,) = faults(outcome_of(monkeypatch, tmp_path, command))
    assert fault.startswith("raised InputError at ")
    assert "expected nothing" in fault


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        (3, "x", ["exit code 3"]),
        (130, "x", ["exit code 130"]),
        (2, "", ["exit code 2 without a word"]),
        (2, "x" * 9000, ["a refusal of 9001 characters"]),
        (1, "x\x1b[31m", ["control characters in the output"]),
        (1, "Traceback (most recent call last)", ["a traceback in the output"]),
        (None, "x", []),
    ],
)
def test_codes_and_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int | None, said: str, expected: list[str]
) -> None:
    def command() -> None:
        if said:
            sys.stderr.write(f"{said}\n")
        sys.exit(code)

    assert faults(outcome_of(monkeypatch, tmp_path, command)) == expected


def test_what_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(guard, "WAITING", 0.2)
    (fault,) = faults(outcome_of(monkeypatch, tmp_path, lambda: time.sleep(60)))
    assert fault.startswith("raised TooSlowError")


def test_what_computes_for_ever_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def command() -> None:
        while True:
            pass

    monkeypatch.setattr(guard, "SECONDS", 0.2)
    (fault,) = faults(outcome_of(monkeypatch, tmp_path, command))
    assert fault.startswith("raised TooSlowError")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(guard, "MEMORY", 32 * 2**20)
    (fault,) = faults(outcome_of(monkeypatch, tmp_path, lambda: bytearray(2**30)))
    assert fault.startswith("raised MemoryError")


@pytest.mark.parametrize("way", ["write", "folder", "remove", "rename in", "through a link"])
def test_changes_outside_are_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "file").touch()
    (inside / "file").touch()
    (inside / "link").symlink_to(outside)
    ways: dict[str, Callable[[], object]] = {
        "write": lambda: (outside / "new").write_text("x"),
        "folder": lambda: (outside / "new").mkdir(),
        "remove": lambda: (outside / "file").unlink(),
        "rename in": lambda: (inside / "file").rename(outside / "new"),
        "through a link": lambda: (inside / "link" / "new").write_text("x"),
    }

    def command() -> None:
        ways[way]()
        sys.exit(0)

    (fault,) = faults(outcome_of(monkeypatch, inside, command))
    assert fault.startswith("outside its folder")
    assert str(outside) in fault


def test_changes_inside_and_links_may_be_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)

    def command() -> None:
        (inside / "link").unlink()
        (inside / "new").write_text("x")
        sys.exit(0)

    assert faults(outcome_of(monkeypatch, inside, command)) == []


def test_a_process_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def command() -> None:
        subprocess.run([sys.executable, "--version"], check=True, capture_output=True)
        subprocess.run(["true"], check=True)
        sys.exit(0)

    (fault,) = faults(outcome_of(monkeypatch, tmp_path, command))
    assert "subprocess.Popen" in fault
