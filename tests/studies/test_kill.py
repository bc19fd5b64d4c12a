"""Real processes on Ray, really killed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fedleak.cli.live import QuietWatcher
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.run import run_study
from fedleak.studies.study import load_study
from tests.studies.builders import write_study
from tests.studies.killing import Victim, rows

SIX = {"adversary.injection.pairs": [30, 60], "attacks.lti.hidden": [4, 5, 6]}


@pytest.mark.timeout(600)
def test_kills_of_workers_and_drivers_lose_and_double_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = write_study(tmp_path, matrix=SIX)
    victim = Victim(study, tmp_path / "killed", ("--jobs", "2"))
    victim.start()
    victim.wait(lambda: len(victim.seen) >= 1)
    choose = random.Random(0)  # noqa: S311 - nothing secret
    victim.wait(lambda: bool(victim.kills) or victim.kill_worker(choose))  # at times no worker is at work
    assert victim.kills["worker"] == 1
    victim.wait(lambda: len(victim.seen) >= 3)
    victim.kill_driver()
    assert victim.start().wait(timeout=300) == 0
    victim.look()
    assert len(victim.seen) == 6
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path / "fresh"))
    undisturbed = StudyDirectory(tmp_path / "undisturbed")
    run_study(load_study(study), undisturbed, QuietWatcher(), serial=True)
    assert rows(victim.out) == rows(undisturbed.root)
    assert victim.survivors() == []
