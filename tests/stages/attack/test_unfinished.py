"""Ctrl-C inside the attack on one update: the same command goes on from the iteration that was reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedleak.attacks.inversion.dlg import LBFGS
from fedleak.pipeline import attack_run
from fedleak.progress import LineProgress, QuietProgress
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack.record import load_images, load_record
from fedleak.stages.attack.unfinished import Unfinished
from fedleak.steps import Steps
from tests.scenarios import run_federation, scenario

PLAIN = {"kind": "inverting_gradients", "iterations": 60, "restarts": 2}
ATTACKS: dict[str, dict[str, Any]] = {
    "adam": PLAIN | {"victims_per_call": 1},
    "side_by_side": PLAIN | {"victims_per_call": 4},
    "langevin": PLAIN | {"optimiser": {"langevin": 0.01}},
    "plateau": PLAIN | {"optimiser": {"plateau": 55, "learning_rate": 1e-9}, "iterations": 300},
    "consensus": {
        "kind": "gradinversion",
        "iterations": 60,
        "restarts": 2,
        "group": {"consensus": "registered", "start": 10, "refresh": 25},
    },
    "lowest": PLAIN | {"keep": "lowest"},
    "last_lbfgs": {
        "kind": "dlg",
        "keep": "last",
        "iterations": 6,
        "restarts": 2,
        "optimiser": LBFGS.model_dump() | {"inner_steps": 2},
    },
    "fan2025": {"kind": "fan2025", "iterations": 30, "restarts": 2, "latent": 4, "width": 4},
    "labels": {"kind": "dlg", "optimiser": {"kind": "adam"}, "iterations": 60},
    "lbfgs": {"kind": "dlg", "iterations": 6, "restarts": 2, "optimiser": LBFGS.model_dump() | {"inner_steps": 2}},
    "gias": {
        "kind": "gias",
        "iterations": 40,
        "weight_iterations": 40,
        "restarts": 2,
        "latent": 4,
        "width": 4,
        "training": {"epochs": 1},
    },
    "compiled": PLAIN | {"compile": "always", "iterations": 30, "restarts": 1},
}


AFTER = {"adam": [1, 17], "plateau": [52], "lbfgs": [8], "last_lbfgs": [8], "gias": [17, 52]}
"""Iterations, of all searches together, before the interruption; 17 by default."""
CASES = [(name, after) for name in ATTACKS if name != "compiled" for after in AFTER.get(name, [17])]


def recorded(root: Path, name: str) -> RunDirectory:
    return run_federation(root, scenario(attacks=[ATTACKS[name]], federation__rounds=1))


class Interruption:
    """Ctrl-C after a number of iterations of all searches together."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
        self.left, self.seen, done = after, list[int](), Steps.done

        def counted(steps: Steps, number: int, value: Any) -> None:
            done(steps, number, value)
            self.seen.append(number)
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

        monkeypatch.setattr(Steps, "done", counted)


@pytest.mark.parametrize(("name", "after"), CASES)
def test_an_interrupted_search_goes_on_to_the_same_bytes(
    name: str, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = recorded(tmp_path / "whole", name)
    attack_run(whole, progress=QuietProgress())
    run = recorded(tmp_path / "run", name)
    count = Interruption(monkeypatch, after=after)
    with pytest.raises(KeyboardInterrupt):
        attack_run(run, progress=QuietProgress())
    reached, count.seen = count.seen[-1], []
    lines: list[str] = []
    attack_run(run, progress=LineProgress(lines.append))
    folders = [one.attacks / ATTACKS[name]["kind"] for one in (whole, run)]
    images, continued = (load_images(folder) for folder in folders)
    assert images.keys() == continued.keys()
    assert all(continued[row].equal(images[row]) for row in images)
    records = [load_record(folder) for folder in folders]
    curves = [repr([attempt.curve for attempt in record.attempts]) for record in records if record is not None]
    assert curves[0] == curves[1]
    assert not list(folders[1].glob("unfinished*"))
    if "lbfgs" not in name:  # whose state is copied now and then, not in every iteration
        assert count.seen[0] == reached  # Ctrl-C came before its state was said to be reached
        assert any("going on after an interruption" in line for line in lines) == (after > 1)


@pytest.mark.slow
def test_a_compiled_search_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test_an_interrupted_search_goes_on_to_the_same_bytes("compiled", 17, tmp_path, monkeypatch)


def test_the_solver_of_lbfgs_goes_on_with_its_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedleak.snapshots.SECONDS", 0.0)
    whole = recorded(tmp_path / "whole", "lbfgs")
    attack_run(whole, progress=QuietProgress())
    run = recorded(tmp_path / "run", "lbfgs")
    count = Interruption(monkeypatch, after=5)
    with pytest.raises(KeyboardInterrupt):
        attack_run(run, progress=QuietProgress())
    reached, count.seen = count.seen[-1], []
    attack_run(run, progress=QuietProgress())
    assert count.seen[0] == reached
    images, continued = (load_images(one.attacks / "dlg") for one in (whole, run))
    assert all(continued[row].equal(images[row]) for row in images)


def test_the_time_before_an_interruption_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = recorded(tmp_path / "run", "adam")
    Interruption(monkeypatch, after=5)
    with pytest.raises(KeyboardInterrupt):
        attack_run(run, progress=QuietProgress())
    folder = run.attacks / "inverting_gradients"
    state = json.loads((folder / "unfinished.json").read_text())
    (folder / "unfinished.json").write_text(json.dumps(state | {"seconds": 1000.0}))
    attack_run(run, progress=QuietProgress())
    record = load_record(folder)
    assert record is not None
    assert [attempt.seconds > 1000 for attempt in record.attempts] == [True, False]


@pytest.mark.parametrize("damage", ["cut", "other", "json", "pipe", "loops", "none"])
def test_a_damaged_state_is_not_used(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = recorded(tmp_path / "run", "adam")
    Interruption(monkeypatch, after=5)
    with pytest.raises(KeyboardInterrupt):
        attack_run(run, progress=QuietProgress())
    folder = run.attacks / "inverting_gradients"
    tensors, record = folder / "unfinished.safetensors", folder / "unfinished.json"
    raw = json.loads(record.read_text())
    if damage == "cut":
        tensors.write_bytes(tensors.read_bytes()[:-1])
    elif damage == "other":
        record.write_text(json.dumps(raw | {"fingerprint": "0" * 64}))
    elif damage == "json":
        record.write_text("{")
    elif damage == "pipe":
        tensors.unlink()
    elif damage == "loops":
        record.write_text(json.dumps(raw | {"loops": {"0": {"tensor": "99"}}}))
    usable = Unfinished(folder, raw["fingerprint"], raw["rows"], lambda: None).load()
    assert bool(usable) == (damage == "none")
