"""The first stage: what it plans, what it writes beside the arrays, and what it does not do twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedleak.errors import InputError
from fedleak.run_directory import RunDirectory, federation_fingerprint
from fedleak.stages.federate import is_finished, plan_federation, write_planned_truth
from fedleak.stages.score.truth import TruthReader
from fedleak.transcript.manifest import load_manifest
from tests.federation.small import plan
from tests.scenarios import run_federation, scenario


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A federation with most of what a manifest can tell."""
    changes: dict[str, Any] = {
        "federation__client": {"protocol": "fedavg", "samples": 4, "batch_size": 2, "local_epochs": 3},
        "adversary__injection": {"pairs": 5, "rounds": [2, 1], "dtype": "float16"},
    }
    return run_federation(tmp_path_factory.mktemp("federate") / "run", scenario(**changes))


def test_the_manifest_tells_what_attacks_may_be_granted(finished: RunDirectory) -> None:
    manifest = load_manifest(finished.transcript)
    assert (manifest.protocol, manifest.input_shape, manifest.classes) == ("fedavg", (1, 8, 8), 10)
    assert manifest.model["kind"] == "mlp"
    assert (manifest.mean, manifest.std, manifest.class_names[3]) == ((0.5,), (0.5,), "3")
    training = manifest.training
    assert (training.batch_size, training.local_epochs, training.samples) == (2, 3, 4)
    assert manifest.pairs is not None
    assert (manifest.pairs.count, manifest.pairs.images_per_pair) == (5, 4)
    assert manifest.pairs.model_versions == (0, 1)
    assert manifest.privacy is None
    assert manifest.parameters.size == 64 * 6 + 6 + 6 * 10 + 10
    assert np.load(finished.transcript / "pairs/updates.npy").dtype == np.float16


def test_a_finished_federation_is_not_planned_again(finished: RunDirectory) -> None:
    own = finished.scenario()
    assert plan_federation(own, finished) is None
    assert plan_federation(own, finished, again=True) is not None
    assert plan_federation(own.model_copy(update={"seed": 1}), finished) is not None


def test_whether_a_transcript_is_that_of_the_federation(finished: RunDirectory, tmp_path: Path) -> None:
    fingerprint = federation_fingerprint(finished.scenario())
    assert is_finished(finished, fingerprint)
    assert not is_finished(finished, "another")
    other = RunDirectory(tmp_path)
    assert not is_finished(other, fingerprint)
    other.transcript.mkdir()
    (other.transcript / "manifest.json").write_text(json.dumps({"format": "damaged"}))
    assert not is_finished(other, fingerprint)


def test_what_the_machine_does_not_have_is_refused_before_data_are_read(tmp_path: Path) -> None:
    engine = {"kind": "ray", "cpus": 1, "client_cpus": 2}
    with pytest.raises(InputError, match="this machine has 1 CPUs"):
        plan_federation(scenario(federation__engine=engine), RunDirectory(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_truth_of_a_plan_holds_every_clients_images_and_the_rows_places(tmp_path: Path) -> None:
    planned = plan(rounds=2)
    write_planned_truth(tmp_path, planned)
    truth = TruthReader(tmp_path)
    for update in (update for planned_round in planned.rounds for update in planned_round.updates):
        batch = truth.batch(update.row)
        own = planned.clients[update.client].take(update.images)
        assert (batch.images * 255).round().byte().numpy().tolist() == own.images.tolist()
        assert batch.labels.tolist() == own.labels.tolist()


def test_clients_use_the_normalisation_and_the_size_that_are_set(tmp_path: Path) -> None:
    """A linear layer shows its input: the quotient of the gradients of a row of weights and its bias."""
    changes: dict[str, Any] = {
        "dataset": {"kind": "digits", "size": [8, 12], "mean": 0.3, "std": 0.2},
        "model": {"kind": "mlp", "hidden": []},
        "adversary__injection": None,
        "attacks": ["linear_layer"],
    }
    run = run_federation(tmp_path, scenario(**changes))
    manifest = load_manifest(run.transcript)
    assert (manifest.mean, manifest.std, manifest.input_shape) == ((0.3,), (0.2,), (1, 8, 12))
    update = np.load(run.transcript / "updates.npy")[0]
    weight, bias = update[:960].reshape(10, 96), update[960:]
    image = TruthReader(run.truth).batch(0).images.numpy().ravel()
    np.testing.assert_allclose(weight[3] / bias[3], (image - 0.3) / 0.2, rtol=1e-3, atol=1e-3)
