"""Generators on batches and on weight deltas, end to end through a federation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fedleak
from fedleak.attacks.generative import feature_table as module
from fedleak.attacks.generative.lti import Lti
from fedleak.models.resnet18 import ResNet18
from fedleak.progress import QuietProgress
from tests.builders import architecture, injected_pairs
from tests.scenarios import tiny

TRAINING = {"epochs": 3, "batch_size": 16, "learning_rate": 0.003}
ATTACKS: list[dict[str, Any]] = [
    {"kind": "lti", "parameters": 20_000, "training": TRAINING},
    {"kind": "git_coarse", "parameters": 20_000, "training": TRAINING},
    {"kind": "git_spatial", "parameters": 20_000, "channels": 16, "training": TRAINING},
]
CASES: dict[str, dict[str, Any]] = {
    "gradients of 2": {"protocol": "fedsgd", "batch_size": 2},
    "gradients of 4": {"protocol": "fedsgd", "batch_size": 4},
    "gradients of 8": {"protocol": "fedsgd", "batch_size": 8},
    "deltas of 1": {"protocol": "fedavg", "batch_size": 1, "samples": 1, "local_epochs": 3},
    "deltas of 4": {"protocol": "fedavg", "batch_size": 2, "samples": 4, "local_epochs": 2},
}


@pytest.mark.parametrize("client", CASES.values(), ids=CASES)
def test_a_federation_is_attacked_from_end_to_end(tmp_path: Path, client: dict[str, Any]) -> None:
    batch = client.get("samples", client["batch_size"])
    results = fedleak.run(
        tiny(
            model={"kind": "lenet", "channels": 4},
            federation__client=client,
            federation__rounds=1,
            adversary__public_images=200,
            attacks=ATTACKS,
        ),
        out=tmp_path,
    )
    for summary in results.attacks[:3]:
        rows = [row for row in results.rows if row.attack == summary.attack]
        assert [(row.victim, row.image) for row in rows] == [(v, i) for v in (1, 2) for i in range(batch)]
        assert all(row.status == "ok" and 0 < (row.metrics["mse"] or 0) < 1 for row in rows)
        assert min(summary.curves["train"]) < summary.curves["train"][0]


@pytest.mark.slow
def test_eleven_million_values_are_streamed_to_the_same_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leaked = architecture(ResNet18())
    pairs = injected_pairs(tmp_path, leaked, pairs=6)
    assert pairs.layout.size > 11_000_000
    attack = Lti.model_validate(
        {"parameters": 200_000, "max_layer_features": 256, "training": {"epochs": 1, "batch_size": 3}}
    )
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path))
    curves = []
    for limit in (module.IN_MEMORY_BYTES, 0):
        monkeypatch.setattr(module, "IN_MEMORY_BYTES", limit)
        artefact = attack.fit(
            pairs,
            leaked,
            generator=torch.Generator().manual_seed(0),
            progress=QuietProgress(),
            device=torch.device("cpu"),
        )
        curves.append((artefact.curves["train"], artefact.curves["held_out"]))
    np.testing.assert_array_equal(curves[0], curves[1])
