"""Victims one by one: what an interruption keeps, and what is told in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedleak.pipeline import attack_run
from fedleak.progress import LineProgress, QuietProgress, Task
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack.record import load_images, load_record
from tests.scenarios import run_federation, scenario

ATTACK = {"kind": "inverting_gradients", "iterations": 3, "victims_per_call": 1}


@pytest.fixture
def recorded(tmp_path: Path) -> RunDirectory:
    """A recorded federation; four updates are attacked."""
    return run_federation(tmp_path / "run", scenario(attacks=[ATTACK]))


class Interrupted(QuietProgress):
    """Ctrl-C after the second update."""

    def __init__(self) -> None:
        self.seen = 0

    def task(self, description: str, total: int) -> Task:
        if not description.startswith("attacking"):
            return super().task(description, total)
        return self  # type: ignore[return-value]

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        self.seen += steps
        if self.seen == 2:
            raise KeyboardInterrupt


def test_an_interruption_keeps_finished_updates_and_the_same_bytes_follow(
    recorded: RunDirectory, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        attack_run(recorded, progress=Interrupted())
    folder = recorded.attacks / "inverting_gradients"
    assert load_record(folder) is None
    kept = load_images(folder)
    assert len(kept) == 2
    assert attack_run(recorded, progress=QuietProgress()) is not None
    continued = load_images(folder)
    assert len(continued) == 4
    whole = run_federation(tmp_path / "whole", scenario(attacks=[ATTACK]))
    assert attack_run(whole, progress=QuietProgress()) is not None
    at_once = load_images(whole.attacks / "inverting_gradients")
    assert all(continued[row].equal(images) for row, images in at_once.items())
    assert all(kept[row].equal(at_once[row]) for row in kept)


def test_iteration_loss_and_time_left_of_an_update_are_told(
    recorded: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedleak.steps.SECONDS", 0.0)
    monkeypatch.setattr("fedleak.progress.LINE_SECONDS", -1.0)
    lines: list[str] = []
    attack_run(recorded, progress=LineProgress(lines.append))
    assert any(
        line.startswith("  attacking with inverting_gradients: 0 of 4, iteration 2 of 3, lowest matching loss 0.")
        and line.endswith(" left")
        for line in lines
    ), lines
