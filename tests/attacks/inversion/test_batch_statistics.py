"""Exact batch statistics: recorded by the client where granted, and used by the prior."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedleak.attacks.inversion.gradinversion import GradInversion
from fedleak.attacks.inversion.priors import batch_norm_distance
from fedleak.attacks.replay import split_state
from fedleak.errors import AttackFailedError, InputErrors
from fedleak.models.convnet import ConvNet
from fedleak.models.normalisation import batch_statistics
from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.stages.attack.view import View
from fedleak.stages.score.truth import TruthReader
from fedleak.threat import BatchStatistics, granted_by_level
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import run_federation, scenario

PRIORS = {"batch_norm": 0.1, "batch_norm_statistics": "exact"}
EXACT = {"kind": "gradinversion", "iterations": 2, "restarts": 2, "priors": PRIORS}


def settings(*grants: str, model: object = "convnet", batch_norm: str = "eval") -> dict[str, object]:
    return {
        "model": {"kind": "convnet", "widths": [4, 4]} if model == "convnet" else model,
        "adversary__level": 3,
        "adversary__grants": list(grants),
        "adversary__injection": None,
        "federation__client__batch_size": 3,
        "federation__client__batch_norm": batch_norm,
        "federation__rounds": 1,
        "attacks": [EXACT],
    }


def asks(statistics: BatchStatistics) -> None:
    """Stands for an attack that asks for them."""


@pytest.mark.parametrize("batch_norm", ["eval", "train_shared"])
def test_what_the_client_shares_is_what_its_layers_saw(tmp_path: Path, batch_norm: str) -> None:
    checked = scenario(**settings("batch_statistics", batch_norm=batch_norm))
    run = run_federation(tmp_path / "run", checked)
    results = attack_run(run, progress=QuietProgress(), isolated=False)
    assert results is not None
    assert results.attacks[0].failures == 0
    assert "batch_statistics" in results.attacks[0].capabilities
    reader = TranscriptReader(run.transcript)
    record = reader.manifest.updates[1]
    given = View(reader, frozenset({"batch_statistics"}), record).capabilities(asks)["statistics"]
    assert isinstance(given, BatchStatistics)
    module = checked.model.build((1, 8, 8), 10, seed=0)
    module.load_state_dict(reader.model(0))
    images = (TruthReader(run.truth).batch(record.row).images - 0.5) / 0.5
    expected = batch_statistics(module.train(batch_norm != "eval"), images)
    assert given.tensors.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(given.tensors[name], value, rtol=1e-4, atol=1e-5)


def test_the_true_batch_is_at_distance_zero_of_its_own_statistics_only() -> None:
    module = ConvNet(widths=(4, 4)).build((1, 8, 8), 10, seed=0).eval()
    images = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    kept = {name: buffer.clone() for name, buffer in module.named_buffers()}
    exact = batch_statistics(module, images)
    assert all(torch.equal(buffer, kept[name]) for name, buffer in module.named_buffers())
    state = split_state(module, module.state_dict())
    assert float(batch_norm_distance(module, *state, images, exact)) == pytest.approx(0, abs=1e-4)
    assert float(batch_norm_distance(module, *state, images)) > 0.1
    assert float(batch_norm_distance(module, *state, images + 1, exact)) > 0.1


def test_they_are_asked_for_only_by_a_prior_that_uses_them_and_granted_only_by_name() -> None:
    assert BatchStatistics not in GradInversion().wanted()
    assert BatchStatistics in GradInversion.model_validate({"priors": PRIORS}).wanted()
    assert "batch_statistics" not in granted_by_level(5)
    with pytest.raises(InputErrors, match=r"needs batch_statistics \(level 4\)"):
        scenario(**settings())


def test_without_normalisation_layers_there_are_none(tmp_path: Path) -> None:
    run = run_federation(tmp_path / "run", scenario(**settings("batch_statistics", model="mlp")))
    reader = TranscriptReader(run.transcript)
    view = View(reader, frozenset({"batch_statistics"}), reader.manifest.updates[0])
    with pytest.raises(AttackFailedError, match="holds no batch statistics"):
        view.capabilities(asks)
