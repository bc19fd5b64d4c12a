"""Shared parts of the benchmarks: a LeNet scenario on synthetic images, and timers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from fedleak.scenario.file import load_scenario
from fedleak.scenario.schema import Scenario

Measured = dict[str, float]


def lenet_scenario(*, images: int, **settings: Any) -> Scenario:
    """A federation of a CIFAR-sized LeNet (five classes) on synthetic images; ``settings`` replace whole blocks."""
    raw: Mapping[str, Any] = {
        "name": "bench",
        "dataset": {"kind": "synthetic", "images": images},
        "model": "lenet",
        "adversary": {"level": 5},
        "attacks": [{"kind": "git_coarse"}],
        **settings,
    }
    if "injection" not in raw["adversary"]:
        raw = {**raw, "adversary": {**raw["adversary"], "injection": {"pairs": 2}}}
    return load_scenario(raw)


class Stopwatch:
    """Result of a timed block, in seconds."""

    seconds = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Measure the wall time of the block."""
    watch, start = Stopwatch(), time.perf_counter()
    yield watch
    watch.seconds = time.perf_counter() - start


@contextmanager
def processor_time() -> Iterator[Stopwatch]:
    """Measure the CPU time of this process in the block, independent of other load."""
    watch, start = Stopwatch(), time.process_time()
    yield watch
    watch.seconds = time.process_time() - start


@contextmanager
def one_core() -> Iterator[None]:
    """Limit torch to one thread in the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
