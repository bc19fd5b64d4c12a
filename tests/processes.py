"""Running the command line as a process of its own, and watching what it starts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

COMMAND = (sys.executable, "-m", "fedleak")


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """``fedleak ARGUMENTS`` in a session of its own, as from a terminal."""
    parts = [*COMMAND, *(str(argument) for argument in arguments)]
    return subprocess.Popen(parts, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def finish(process: subprocess.Popen[str], *, seconds: float = 150) -> tuple[int, str, str]:
    """Exit code and output."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        end(process, family(process))
        raise
    return process.returncode, out, err


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All processes below ``process``."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def wait_for(condition: Callable[[], bool], *, seconds: float = 90) -> bool:
    """Whether ``condition`` came true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run."""
    running = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
        except psutil.NoSuchProcess:
            continue
    return running


def end(process: subprocess.Popen[str], others: list[psutil.Process]) -> None:
    """Leave nothing behind, whatever the test found."""
    for other in alive(others):
        other.kill()
    process.kill()
    process.wait()
