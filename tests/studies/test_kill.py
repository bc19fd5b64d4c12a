"""Real processes on Ray, really killed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.studies.builders import write_study
from tests.studies.killing import Victim, rows

EIGHT = {"adversary.injection.pairs": [30, 60], "attacks.lti.hidden": [4, 5, 6, 7]}


@pytest.mark.timeout(240)
def test_kills_of_workers_and_drivers_lose_and_double_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = write_study(tmp_path, matrix=EIGHT)
    victim = Victim(study, tmp_path / "killed", ("--jobs", "2"))
    victim.start()
    victim.wait(lambda: len(victim.seen) >= 1)
    assert victim.kill_worker(random.Random(0))  # noqa: S311 - nothing secret
    victim.wait(lambda: len(victim.seen) >= 4)
    victim.kill_driver()
    assert victim.start().wait(timeout=120) == 0
    victim.look()
    assert len(victim.seen) == 8
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path / "fresh"))
    undisturbed = Victim(study, tmp_path / "undisturbed", ("--serial",))
    assert undisturbed.start().wait(timeout=120) == 0
    assert rows(victim.out) == rows(undisturbed.out)
    assert victim.survivors() == []
