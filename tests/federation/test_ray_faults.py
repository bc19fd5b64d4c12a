"""What goes wrong on Ray: clients, workers, the driver itself. Nothing hangs, nothing is left behind."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil
import pytest

from fedleak.run_directory import RunDirectory
from fedleak.transcript.manifest import RoundRecord
from fedleak.transcript.reader import TranscriptReader
from tests.processes import alive, end, family, finish, start, wait_for
from tests.scenarios import run_federation, scenario, tree, write_scenario

ENGINE = {"kind": "ray", "cpus": 2, "timeout": 60}
Child = tuple[Popen[str], list[psutil.Process]]


def federate(folder: Path, **changes: Any) -> tuple[int, str, RunDirectory]:
    """``fedleak federate`` on Ray: exit code, standard error, directory."""
    path = write_scenario(folder, **({"federation__engine": ENGINE} | changes))
    code, _, err = finish(start("federate", path, "--out", folder / "run"))
    return code, err, RunDirectory(folder / "run")


def rounds_of(run: RunDirectory) -> tuple[RoundRecord, ...]:
    """What the server saw."""
    return TranscriptReader(run.transcript).manifest.rounds


def fault(mode: str, number: int, client: int) -> dict[str, Any]:
    """One entry of ``federation.faults``."""
    return {"mode": mode, "round": number, "client": client}


@pytest.mark.timeout(200)
def test_a_client_that_raises_and_a_worker_that_dies(tmp_path: Path) -> None:
    faults = [fault("raise", 1, 1), fault("exit", 2, 2)]
    code, err, run = federate(tmp_path, federation__clients=4, federation__rounds=3, federation__faults=faults)
    assert code == 0, err
    first, second, third = rounds_of(run)
    assert first.failures == ("client 1: failed: RuntimeError: fault provoked by the scenario in round 1",)
    assert "client 2: failed: the worker process died" in second.failures
    assert third.failures == (), "a new engine has all its workers"
    assert "restarting the engine" in err
    dead = [u for u in second.updates if u.client == 2]
    assert [(u.status, u.reason) for u in dead] == [("failed", "the worker process died")]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_silent_client_is_given_up(tmp_path: Path) -> None:
    engine = ENGINE | {"timeout": 5}
    faults = [fault("silent", 1, 1)]
    code, err, run = federate(tmp_path, federation__clients=4, federation__engine=engine, federation__faults=faults)
    assert code == 0, err
    first, second = rounds_of(run)
    assert first.failures == ("client 1: missing: no reply in time",)
    assert second.failures == ()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_workers_that_keep_dying_end_the_run(tmp_path: Path) -> None:
    engine = ENGINE | {"cpus": 1}
    faults = [fault("exit", 2, client) for client in range(3)]
    code, err, run = federate(tmp_path, federation__engine=engine, federation__faults=faults)
    assert code == 1
    assert "error: workers were lost 4 times in a row in round 2; 1 of 2 rounds are done" in err
    assert (run.transcript / "journal.jsonl").is_file()


def rounds_done(folder: Path) -> int:
    """Finished rounds in the journal."""
    journal = folder / "run/transcript/journal.jsonl"
    return journal.read_text().count('"round": {') if journal.exists() else 0


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Child]:
    """A federation of many rounds in the middle of its work, and the processes that it started."""
    path = write_scenario(tmp_path, federation__engine=ENGINE, federation__rounds=25)
    process = start("federate", path, "--out", tmp_path / "run")
    assert wait_for(lambda: rounds_done(tmp_path) > 2 or process.poll() is not None), "it does not get going"
    others = family(process)
    assert any("raylet" in " ".join(other.cmdline()[:1]) for other in others)
    yield process, others
    end(process, others)


def check_continues(folder: Path, *, engine: str) -> None:
    """The same command finishes the run, with the bytes of a run that was never disturbed."""
    done = rounds_done(folder)
    assert 2 < done < 25
    settings = ("--set", f"federation.engine.kind={engine}")
    code, _, err = finish(start("federate", folder / "tiny.yaml", "--out", folder / "run", *settings))
    assert code == 0, err
    assert f"continuing after round {done}" in err
    whole = run_federation(folder / "whole", scenario(federation__rounds=25))
    assert tree(folder / "run/transcript") == tree(whole.transcript)


@pytest.mark.timeout(250)
def test_a_killed_driver_leaves_no_processes_and_can_go_on(running: Child, tmp_path: Path) -> None:
    process, others = running
    process.kill()
    process.wait()
    assert wait_for(lambda: not alive(others), seconds=40), alive(others)
    check_continues(tmp_path, engine="serial")  # the engine changes no byte, and starts in no time


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_quickly(running: Child, tmp_path: Path, number: signal.Signals) -> None:
    process, others = running
    begin = time.monotonic()
    process.send_signal(number)
    code, _, err = finish(process)
    assert code == 128 + number, err
    assert time.monotonic() - begin < 30
    assert "the same command continues it" in err
    assert "Traceback" not in err
    assert wait_for(lambda: not alive(others), seconds=20), alive(others)
    check_continues(tmp_path, engine="ray")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_interrupt_does_not_wait_for_a_client_that_is_stuck(tmp_path: Path) -> None:
    engine, faults = ENGINE | {"timeout": 200}, [fault("silent", 1, 1)]
    path = write_scenario(tmp_path, federation__engine=engine, federation__faults=faults)
    process = start("federate", path, "--out", tmp_path / "run")
    index = tmp_path / "run/transcript/journal.jsonl"
    assert wait_for(lambda: index.exists() and '"pairs_done": 60' in index.read_text())
    time.sleep(2)
    others, begin = family(process), time.monotonic()
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process, seconds=90)
    assert code == 130, err
    assert time.monotonic() - begin < 60
    assert wait_for(lambda: not alive(others), seconds=20), alive(others)


def test_the_journal_is_what_the_tests_think(tmp_path: Path) -> None:
    record = RoundRecord(round=1, accuracy=0.5, loss=0.5, replies=1)
    assert '"round": {' in json.dumps({"round": record.model_dump(mode="json")})
