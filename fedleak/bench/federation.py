"""Benchmark of the rounds of a federation of 100 clients."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from fedleak.bench.base import Measured, lenet_scenario, stopwatch
from fedleak.pipeline import federate_scenario
from fedleak.progress import Progress, Task
from fedleak.run_directory import RunDirectory

CLIENTS = 100
ROUNDS = 5


class _RoundTimes:
    """Forwards progress and records when each round ended."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self.ends: list[float] = []

    def task(self, description: str, total: int) -> Task:
        """Start a bar; the bar that counts rounds is timed."""
        bar = self._inner.task(description, total)
        return _Watched(bar, self.ends) if "round" in description and "pairs" not in description else bar

    def say(self, message: str) -> None:
        """Forward the message."""
        self._inner.say(message)


class _Watched:
    def __init__(self, bar: Task, ends: list[float]) -> None:
        self._bar, self._ends = bar, ends

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Record the time."""
        self._ends.append(time.perf_counter())
        self._bar.advance(steps, note=note)


def measure(progress: Progress) -> Measured:
    """``seconds_per_round`` of 100 LeNet clients on Ray, without the start of the engine."""
    scenario = lenet_scenario(
        images=2000, federation={"clients": CLIENTS, "rounds": ROUNDS}, adversary={"level": 5, "public_images": 10}
    )
    watched = _RoundTimes(progress)
    with tempfile.TemporaryDirectory() as folder, stopwatch() as watch:
        federate_scenario(scenario, RunDirectory(Path(folder) / "run"), force=False, progress=watched)
    first, *_, last = watched.ends  # the first mark is the start of round 1
    return {
        "clients": CLIENTS,
        "rounds": ROUNDS,
        "seconds_per_round": (last - first) / ROUNDS,
        "total_seconds": watch.seconds,
    }
