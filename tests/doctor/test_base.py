"""What checks may look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fedleak.doctor.base import ExaminedRun, Facts
from fedleak.doctor.examination import examine
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import run_federation, scenario

FACTS = Facts((1, 8, 8), 10, (0.5,), (0.5,))
LIGHT: dict[str, Any] = {
    "adversary": {"level": 3, "public_images": 60},
    "attacks": [{"kind": "inverting_gradients", "iterations": 1, "compile": "never"}],
}


def examined(facts: Facts | None = FACTS, **changes: Any) -> ExaminedRun:
    """A scenario that was not run."""
    return ExaminedRun(scenario(**(LIGHT | changes)), facts)


def test_the_network_is_the_scenarios() -> None:
    module = examined(model={"kind": "convnet", "widths": [3]}).module
    assert module is not None
    assert module(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("task", "outputs"), [("regression", 1), ({"kind": "multi_label", "attributes": [[0], [1, 2], [3]]}, 3)]
)
def test_it_has_as_many_outputs_as_the_task_needs(task: Any, outputs: int) -> None:
    module = examined(task=task, attacks=["dlg"]).module
    assert module is not None
    assert module(torch.zeros(2, 1, 8, 8)).shape == (2, outputs)


@pytest.mark.parametrize("task", ["regression", {"kind": "multi_label", "attributes": [list(range(10))] * 4}])
def test_a_run_of_another_task_is_sound(tmp_path: Path, task: Any) -> None:
    """Its gradients have other signs than those of a classification: here every attribute is always there."""
    run = run_federation(tmp_path / "run", scenario(**(LIGHT | {"attacks": ["dlg"]}), task=task))
    assert examine(run.root) == ()


def test_layers_by_kind() -> None:
    found = examined(model={"kind": "convnet", "widths": [3, 4]})
    assert found.layers(nn.BatchNorm2d) == ["1", "5"]
    assert found.layers(nn.Linear, nn.BatchNorm2d) == ["1", "5", "9"]
    assert found.layers(nn.LSTM) == []


@pytest.mark.parametrize(("bias", "expected"), [(True, True), (False, False)])
def test_whether_the_last_layer_has_a_bias(bias: bool, expected: bool) -> None:
    assert examined(model={"kind": "lenet", "last_bias": bias}).last_bias is expected


def test_without_facts_nothing_is_known_of_the_network() -> None:
    found = examined(None)
    assert (found.module, found.layers(nn.Linear), found.last_bias) == (None, [], None)


@pytest.mark.parametrize(
    ("client", "samples"),
    [
        ({"batch_size": 3}, 3),
        ({"protocol": "fedavg", "batch_size": 3, "samples": 7}, 7),
        ({"protocol": "fedavg", "batch_size": 3}, None),
    ],
)
def test_images_behind_an_update(client: dict[str, Any], samples: int | None) -> None:
    assert examined(federation__client=client).samples == samples


def test_without_a_transcript_there_are_no_updates() -> None:
    found = examined()
    assert (found.recorded_updates, list(found.updates(9))) == (0, [])


def test_only_usable_updates_are_looked_at(tmp_path: Path) -> None:
    checked = scenario(**LIGHT, federation__faults=[{"round": 1, "client": 1, "mode": "nan"}])
    run = run_federation(tmp_path / "run", checked)
    found = ExaminedRun(checked, FACTS, TranscriptReader(run.transcript))
    assert found.recorded_updates == 3
    assert [row for row, _, _ in found.updates(9)] == [1, 2, 3]
    ((row, samples, tensors),) = found.updates(1)
    assert (row, samples, list(tensors)) == (1, 1, ["1.weight", "1.bias", "3.weight", "3.bias"])
