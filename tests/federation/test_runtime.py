"""Starting and restarting an engine, and what Ray is told."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from flwr.serverapp import Grid

from fedleak.errors import FederationError
from fedleak.federation.runtime import (
    MAX_RESTARTS,
    OBJECT_STORE_BYTES,
    _backend_config,
    _keep_signal_handler,
    _root_cause,
    run_server,
)
from fedleak.federation.server import Server
from fedleak.progress import QuietProgress
from fedleak.scenario.schema import FederationEngine
from fedleak.transcript.manifest import RoundRecord
from fedleak.transcript.writer import TranscriptWriter
from tests.federation.small import plan

SERIAL = FederationEngine(kind="serial")


class Telling(QuietProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


class Losing(Server):
    """A server whose engine is started again and again.

    Attributes:
        starts: of the engine, so far.
    """

    def __init__(self, folder: Path, start: Callable[[Losing], None], *, rounds: int = 2) -> None:
        super().__init__(plan(rounds=rounds), TranscriptWriter(folder, "by hand"), folder, Telling())
        self.starts, self._start = 0, start

    def run(self, grid: Grid) -> None:
        """Each start does what it is told to do."""
        self.starts += 1
        assert len(list(grid.get_node_ids())) == 3
        self._start(self)

    def finish_one(self) -> None:
        """Go on by a round."""
        self.writer.finish_round(RoundRecord(round=len(self.writer.rounds) + 1, accuracy=0, loss=0, replies=3))

    @property
    def said(self) -> list[str]:
        """By the engine."""
        assert isinstance(self.progress, Telling)
        return self.progress.said


def test_a_finished_federation_is_started_once(tmp_path: Path) -> None:
    def both(server: Losing) -> None:
        server.finish_one()
        server.finish_one()

    server = Losing(tmp_path, both)
    run_server(server, SERIAL)
    assert (server.starts, server.said) == (1, [])


def test_a_lost_worker_starts_another_engine(tmp_path: Path) -> None:
    server = Losing(tmp_path, Losing.finish_one)
    run_server(server, SERIAL)
    assert server.starts == 2
    assert server.said == ["a client or its worker was lost; restarting the engine"]


def test_too_many_losses_in_a_row_end_the_run(tmp_path: Path) -> None:
    server = Losing(tmp_path, lambda server: None)
    message = r"workers were lost 4 times in a row in round 1; 0 of 2 rounds are done"
    with pytest.raises(FederationError, match=message):
        run_server(server, SERIAL)
    assert server.starts == MAX_RESTARTS + 1
    assert len(server.said) == MAX_RESTARTS


def test_any_progress_forgives_earlier_losses(tmp_path: Path) -> None:
    """Three idle starts, then a round or some pairs; then it may be idle three times more."""

    def now_and_then(server: Losing) -> None:
        if server.starts == 4:
            server.finish_one()
        if server.starts == 8:
            server.writer.pairs_done += 1

    server = Losing(tmp_path, now_and_then)
    with pytest.raises(FederationError, match=r"lost 4 times in a row in round 2; 1 of 2 rounds are done"):
        run_server(server, SERIAL)
    assert server.starts == 12


def test_an_error_of_the_server_passes_and_threads_are_put_back(tmp_path: Path) -> None:
    def fail(server: Losing) -> None:
        torch.set_num_threads(2)
        raise FederationError("no")

    threads = torch.get_num_threads()
    server = Losing(tmp_path, fail)
    with pytest.raises(FederationError, match=r"^no$"):
        run_server(server, SERIAL)
    assert (server.starts, torch.get_num_threads()) == (1, threads)


LOCAL: dict[str, Any] = {
    "logging_level": 40,
    "log_to_driver": False,
    "address": "local",
    "object_store_memory": OBJECT_STORE_BYTES,
}


@pytest.mark.parametrize(
    ("engine", "init", "client"),
    [
        ({"cpus": 3}, LOCAL | {"num_cpus": 3}, {"num_cpus": 1, "num_gpus": 0}),
        ({}, LOCAL | {"num_cpus": psutil.cpu_count()}, {"num_cpus": 1, "num_gpus": 0}),
        (
            {"address": "auto", "cpus": 3, "client_cpus": 0.5, "client_gpus": 0.25},
            {"logging_level": 40, "log_to_driver": False, "address": "auto"},
            {"num_cpus": 0.5, "num_gpus": 0.25},
        ),
    ],
)
def test_what_ray_is_told(engine: dict[str, Any], init: dict[str, Any], client: dict[str, Any]) -> None:
    """A cluster has its own CPUs and its own store."""
    place = {"address": engine.get("address", "local")}
    assert _backend_config(FederationEngine(**engine), place) == {"init_args": init, "client_resources": client}


def test_the_cause_of_all_causes() -> None:
    innermost = ValueError("innermost")
    middle, outer = RuntimeError("middle"), RuntimeError("outer")
    middle.__cause__, outer.__cause__ = innermost, middle
    assert _root_cause(outer) is innermost
    assert _root_cause(innermost) is innermost


def test_pythons_own_handler_is_put_back() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        _keep_signal_handler()
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]
