"""Ctrl-C and SIGTERM, sent to a real study on Ray."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from fedleak.cli.live import QuietWatcher
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.records import CELL, load_cell
from fedleak.studies.run import run_study
from fedleak.studies.study import load_study
from tests.processes import alive, end, family, finish, start, wait_for
from tests.studies.builders import write_study

LONG = 90_000
"""Epochs that nobody waits for."""
ATTACKS = [{"kind": "lti", "hidden": 8, "training": {"epochs": 1, "patience": LONG}}]
MATRIX = {"attacks.lti.training.epochs": [1, LONG, LONG + 1]}
SHORT = {"attacks.lti.training.epochs": [1]}
SECONDS = 60
"""Within which it is over; two to six on an idle machine."""
PATIENCE = 200
"""Seconds that Ray may take to start on a machine with other things to do."""


def interrupt(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Ctrl-C goes to everything in the terminal's foreground, SIGTERM to the one process."""
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)


def finished(out: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob(f"cells/*/{CELL}")}


def at_work(out: Path) -> bool:
    """One cell is done, and two train."""
    logs = [path.read_text(encoding="utf-8") for path in out.glob("logs/*.log")]
    return len(finished(out)) == 1 and sum("training lti" in log and "done in" not in log for log in logs) == 2


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_stops_a_study_and_the_same_command_continues_it(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    out, file = tmp_path / "out", write_study(tmp_path, matrix=MATRIX, attacks=ATTACKS, claims=[])
    process = start("study", file, "--out", out, "--jobs", "2")
    below: list[psutil.Process] = []
    try:
        assert wait_for(lambda: at_work(out), seconds=PATIENCE)
        below, before = family(process), finished(out)
        assert any("raylet" in " ".join(child.cmdline()) for child in alive(below))
        begin = time.monotonic()
        interrupt(process, number)
        got, _, err = finish(process, seconds=SECONDS)
        assert got == code, err
        assert "the same command continues it" in err
        assert "Traceback" not in err
        assert wait_for(lambda: alive(below) == [], seconds=max(0, begin + SECONDS - time.monotonic()))
    finally:
        end(process, below)
    assert finished(out) == before
    continued = load_study(write_study(tmp_path, matrix=SHORT, attacks=ATTACKS, claims=[]))
    run_study(continued, StudyDirectory(out), QuietWatcher(), serial=True)
    assert finished(out) == before
    assert {record.status for key in before if (record := load_cell(out / "cells" / key))} == {"ok"}


@pytest.mark.slow
def test_an_interrupt_while_ray_starts_leaves_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(
        "study", write_study(tmp_path, matrix=MATRIX, attacks=ATTACKS, claims=[]), "--out", out, "--jobs", "2"
    )
    below: list[psutil.Process] = []
    try:
        assert wait_for(
            lambda: any("gcs_server" in " ".join(_words(child)) for child in family(process)), seconds=PATIENCE
        )
        interrupt(process, signal.SIGINT)
        below = family(process)
        got, _, err = finish(process, seconds=SECONDS)
        assert got == 130, err
        assert wait_for(lambda: alive(below) == [], seconds=SECONDS)
    finally:
        end(process, below)
    assert finished(out) == {}


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
