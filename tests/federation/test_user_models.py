"""Models as users bring them, from the federation to the scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import fedleak
from fedleak.models.factory import CONSENT
from fedleak.models.state import load_state
from fedleak.transcript.reader import TranscriptReader
from tests.user_models import FACTORIES

NAMES = ["frozen", "frozen_batch_norm", "tied", "tied_by_use", "not_persistent", "autocast", "double"]
NAMES += [
    "branches",
    "weight_standardised",
    "gru",
    "half",
    "brain_float",
    "same_module_twice",
    "own_forward",
    "weight_norm",
    "old_weight_norm",
]


def raw(name: str, **client: Any) -> dict[str, Any]:
    return {
        "name": "own",
        "dataset": {"kind": "synthetic", "size": 8, "images": 40},
        "model": {"kind": "factory", "path": f"tests.user_models:{name}"},
        "federation": {"clients": 2, "rounds": 2, "client": client, "engine": {"kind": "serial"}},
        "adversary": {"level": 1},
        "attacks": [{"kind": "inverting_gradients", "iterations": 2, "restarts": 2, "compile": "never"}],
        "metrics": {"lpips": None, "ssim": None},
        "bootstrap_resamples": 100,
        "device": "cpu",
        "threads": 1,
    }


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONSENT, ",".join(f"tests.user_models:{name}" for name in NAMES))


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("name", NAMES)
def test_it_is_trained_attacked_and_scored(name: str, tmp_path: Path) -> None:
    results = fedleak.run(raw(name, batch_size=2), out=tmp_path / "run")
    (attack,) = [summary for summary in results.attacks if not summary.is_baseline]
    assert (attack.images, attack.failures) == (4, 0)
    assert_recorded_gradient(tmp_path / "run", name)


def assert_recorded_gradient(run: Path, name: str) -> None:
    """The first recorded update is the gradient of autograd at the true images."""
    reader = TranscriptReader(run / "transcript")
    record = reader.manifest.updates[0]
    model = FACTORIES[name]((3, 8, 8), reader.manifest.classes).eval()
    load_state(model, reader.model(0))
    images = np.load(run / f"truth/{record.client:05d}/images.npy")
    labels = np.load(run / f"truth/{record.client:05d}/labels.npy")
    rows = json.loads((run / "truth/updates.json").read_text())[str(record.row)][str(record.client)]
    mean, std = (torch.tensor(v)[:, None, None] for v in (reader.manifest.mean, reader.manifest.std))
    inputs = (torch.from_numpy(images[rows]).float() / 255 - mean) / std
    first = next(model.parameters())
    F.cross_entropy(model(inputs.to(first.dtype)), torch.from_numpy(labels[rows])).backward()  # type: ignore[no-untyped-call]
    shared = reader.manifest.parameters.unflatten(reader.update(0))
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert list(shared) == list(trained)
    for parameter, value in trained.items():
        expected = torch.zeros_like(value) if value.grad is None else value.grad
        assert (shared[parameter] - expected).norm() <= 1e-5 * expected.norm() + 1e-9, parameter


@pytest.mark.usefixtures("trusted")
def test_frozen_parameters_stay_as_they_are_and_the_manifest_names_them(tmp_path: Path) -> None:
    client = {"protocol": "fedavg", "samples": 4, "local_learning_rate": 0.5}
    fedleak.run(raw("frozen_batch_norm", **client), out=tmp_path / "run")
    reader = TranscriptReader(tmp_path / "run/transcript")
    layers = ("conv1", "conv2", "norm", "fc1")
    assert reader.manifest.frozen == tuple(f"{layer}.{own}" for layer in layers for own in ("weight", "bias"))
    assert [slot.name for slot in reader.manifest.parameters.slots] == ["fc2.weight", "fc2.bias"]
    first, last = reader.model(0), reader.model(2)
    assert {name for name in first if not torch.equal(first[name], last[name])} == {"fc2.weight", "fc2.bias"}


@pytest.mark.usefixtures("trusted")
def test_a_models_own_precision_is_kept(tmp_path: Path) -> None:
    fedleak.run(raw("brain_float"), out=tmp_path / "run")
    state = TranscriptReader(tmp_path / "run/transcript").model(2)
    assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}


def test_labels_are_not_read_from_another_layer_if_the_last_is_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONSENT, "tests.user_models:FrozenHead")
    scenario = raw("FrozenHead", batch_size=2)
    scenario["attacks"] += [{"kind": "dlg", "iterations": 1, "compile": "never"}]
    results = fedleak.run(scenario, out=tmp_path / "run")
    found = {summary.attack: (summary.images, summary.failures) for summary in results.attacks}
    assert found["inverting_gradients"] == (0, 2)
    assert found["dlg"] == (4, 0)
    attempts = json.loads((tmp_path / "run/attacks/inverting_gradients/attack.json").read_text())["attempts"]
    assert all("last layer is frozen" in attempt["reason"] for attempt in attempts)
