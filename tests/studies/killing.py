"""Killing studies, and what must hold afterwards."""

from __future__ import annotations

import csv
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from fedleak.studies.records import CELL


@dataclass
class Victim:
    """A study that is run by a process of its own, killed and continued.

    Attributes:
        seen: digest of each finished cell when it was first seen.
        kills: how often what was killed.
    """

    study: Path
    out: Path
    options: tuple[str, ...] = ()
    seen: dict[str, str] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    driver: subprocess.Popen[bytes] | None = None
    family: set[psutil.Process] = field(default_factory=set)

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Run or continue the study."""
        command = [sys.executable, "-m", "fedleak", "study", str(self.study), "--out", str(self.out), "--quiet"]
        log = (self.out.parent / "driver.log").open("ab")
        self.driver = subprocess.Popen([*command, *self.options, *options], stdout=log, stderr=log)
        return self.driver

    def look(self) -> None:
        """Note which cells are finished; those noted before must be as they were."""
        if self.driver is not None:
            with suppress(psutil.Error):
                self.family |= set(psutil.Process(self.driver.pid).children(recursive=True))
        for path in (self.out / "cells").glob(f"*/{CELL}"):
            if '"status":"ok"' not in path.read_text(encoding="utf-8"):
                continue
            digest = hashlib.sha256(path.read_bytes() + str(path.stat().st_mtime_ns).encode()).hexdigest()
            assert self.seen.setdefault(path.parent.name, digest) == digest, f"{path} was written again"

    def wait(self, until: Callable[[], bool], *, seconds: float = 240) -> None:
        """Look until something holds, or the driver ends."""
        end = time.monotonic() + seconds
        while not until() and self.driver is not None and self.driver.poll() is None:
            assert time.monotonic() < end, "it takes too long"
            self.look()
            time.sleep(0.05)
        self.look()

    def kill_driver(self) -> None:
        """SIGKILL the driver; nothing may be left of its family."""
        assert self.driver is not None
        self.look()
        self.driver.kill()
        self.driver.wait()
        self.kills["driver"] += 1

    def kill_worker(self, choose: random.Random) -> bool:
        """SIGKILL one Ray worker; false if there is none."""
        assert self.driver is not None
        workers = []
        with suppress(psutil.Error):
            for process in psutil.Process(self.driver.pid).children(recursive=True):
                with suppress(psutil.Error):
                    if process.cmdline()[0].startswith("ray::_Worker"):
                        workers.append(process)
        if not workers:
            return False
        os.kill(choose.choice(workers).pid, signal.SIGKILL)
        self.kills["worker"] += 1
        return True

    def survivors(self, *, seconds: float = 60) -> list[psutil.Process]:
        """What is left of all drivers' children once they had time to end."""
        _, alive = psutil.wait_procs(self.family, timeout=seconds)
        return alive


def rows(out: Path) -> list[tuple[str, ...]]:
    """``study.csv``, which holds nothing that depends on time."""
    with (out / "study.csv").open(encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file)]
