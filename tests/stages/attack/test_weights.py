from __future__ import annotations

from pathlib import Path

import pytest
import torch

import fedleak
from fedleak.attacks.base import Artefact
from fedleak.errors import InputError
from fedleak.results.schema import WEIGHT_DISTANCE
from fedleak.stages.attack.weights import FILE, save_estimates, weight_course, weight_distance
from fedleak.studies.records import measure
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import tiny

EXACT = {"kind": "git_exact", "use_bias_gradients": False, "training": {"epochs": 4, "learning_rate": 0.01}}


def test_distance_by_hand() -> None:
    """||(3, 4)|| = 5; the estimates are off by (3, 4), (0, 4), (0, 0)."""
    leaked = {"w": torch.tensor([3.0, 4.0]), "other": torch.tensor([100.0])}
    estimates = {"w": torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])}
    assert weight_distance(estimates, leaked) == pytest.approx([1.0, 0.8, 0.0])


def test_scoring_compares_the_estimates_with_the_leaked_model(tmp_path: Path) -> None:
    results = fedleak.run(tiny(attacks=[EXACT, {"kind": "lti", "hidden": 8, "training": {"epochs": 1}}]), out=tmp_path)
    exact, lti = results.attacks[:2]
    reader = TranscriptReader(tmp_path / "transcript")
    true = reader.model(0)["3.weight"]
    course = exact.curves[WEIGHT_DISTANCE]
    assert len(course) == len(exact.curves["held_out"]) == 5
    assert course == weight_course(tmp_path / "attacks" / "git_exact", reader)[WEIGHT_DISTANCE]
    assert true.shape == (10, 6)
    assert WEIGHT_DISTANCE not in lti.curves
    measured, other = measure(results)[:2]
    best = exact.curves["held_out"].index(min(exact.curves["held_out"]))
    assert set(measured.metrics[WEIGHT_DISTANCE]) == {course[best]}
    assert WEIGHT_DISTANCE not in other.metrics


def test_the_attack_stage_leaves_estimates_and_not_distances(tmp_path: Path) -> None:
    artefact = Artefact({"w": torch.ones(3)}, 3, estimates={"w": torch.ones(2, 3)})
    save_estimates(tmp_path, artefact)
    assert (tmp_path / FILE).is_file()
    save_estimates(tmp_path, None)
    assert not (tmp_path / FILE).exists()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    fedleak.run(tiny(attacks=[EXACT]), out=tmp_path)
    (tmp_path / "attacks" / "git_exact" / FILE).write_bytes(b"nonsense")
    with pytest.raises(InputError, match="not a safetensors file"):
        weight_course(tmp_path / "attacks" / "git_exact", TranscriptReader(tmp_path / "transcript"))
