"""A transcript must say what its scenario says; what differs is named with both values."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedleak.errors import InputError
from fedleak.run_directory import RunDirectory
from fedleak.stages.agreement import open_transcript
from fedleak.transcript.manifest import MANIFEST
from tests.scenarios import command, run_federation, scenario

CHANGES: dict[str, Any] = {
    "adversary": {
        "level": 5,
        "public_images": 60,
        "injection": {"pairs": 60, "rounds": [1]},
        "grants": ["true_labels", "mini_batch_order"],
    },
    "federation__client": {"protocol": "fedavg", "samples": 4, "batch_size": 2, "local_epochs": 2},
}
Changer = Callable[[str, Any], RunDirectory]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Weight deltas of two local epochs, with everything that a manifest may hold."""
    return run_federation(tmp_path_factory.mktemp("finished") / "run", scenario(**CHANGES))


@pytest.fixture
def changed(finished: RunDirectory, tmp_path: Path) -> Changer:
    """A copy whose manifest says something else at one place."""

    def change(place: str, value: Any) -> RunDirectory:
        run = RunDirectory(Path(shutil.copytree(finished.root, tmp_path / "copy")))
        path = run.transcript / MANIFEST
        raw = json.loads(path.read_text())
        *parents, last = [int(part) if part.isdecimal() else part for part in place.split(".")]
        node: Any = raw
        for part in parents:
            node = node[part]
        node[last] = value
        path.write_text(json.dumps(raw))
        return run

    return change


PRIVACY = {"epsilon": 1, "delta": 1e-5, "noise_multiplier": 1, "max_norm": 1}
CASES: list[tuple[str, Any, str]] = [
    ("protocol", "fedsgd", "federation.client.protocol of the scenario says fedavg"),
    ("model", {"kind": "mlp", "hidden": [7]}, "model of the scenario says"),
    ("model", {"kind": "mlp", "hidden": [10**9]}, "model of the scenario says"),
    ("model", {"kind": "lenet"}, "model of the scenario says"),
    ("model", {"kind": "mlp", "hidden": "many"}, "model of the scenario says"),
    ("model", {"kind": ["mlp"]}, "known kinds"),
    ("task", {"kind": "regression"}, "task of the scenario says"),
    ("training.batch_size", 3, "federation.client.batch_size of the scenario says 2"),
    ("training.local_epochs", 5, "federation.client.local_epochs of the scenario says 2"),
    ("training.local_learning_rate", 0.5, "federation.client.local_learning_rate of the scenario says 0.01"),
    ("training.samples", None, "federation.client.samples of the scenario says 4"),
    ("training.batch_norm", "train_local", "federation.client.batch_norm of the scenario says eval"),
    ("training.local_sgd", {"momentum": 0.9}, "federation.client.local_sgd of the scenario says"),
    ("training.local_sgd", {"momentum": 9}, "federation.client.local_sgd of the scenario says"),
    ("training.postprocess", [{"kind": "sign_sgd"}], "federation.client.postprocess of the scenario says"),
    ("training.postprocess", [{"kind": "unknown"}], "federation.client.postprocess of the scenario says"),
    ("training.error_feedback", True, "federation.client.error_feedback of the scenario says False"),
    ("training.dp_sgd", {"max_norm": 1, "noise_multiplier": 0}, "federation.client.dp_sgd of the scenario says None"),
    ("training.guards", [{"kind": "trap_weights"}], "federation.client.guards of the scenario says"),
    ("rounds.1.round", 9, "listed in round 9"),
    ("rounds.0.replies", 99, "federation.clients of the scenario says 3"),
    ("rounds.0.updates.0.client", 10**9, "federation.clients of the scenario says 3"),
    ("rounds.0.updates.0.summed", [1, 2], "federation.secure_aggregation of the scenario says None"),
    ("rounds.1.updates.0.model_version", 0, "federation.staleness of the scenario says 1"),
    ("rounds.0.updates.0.samples", 5, "true_labels"),
    ("rounds.0.updates.0.mini_batches", [[0, 1, 2], [3]], "federation.client.batch_size of the scenario says 2"),
    ("rounds.0.updates.0.mini_batches", [[0]] * 9, "federation.client of the scenario says 4 steps"),
    ("pairs", None, "adversary.injection of the scenario says"),
    ("pairs.count", 59, "adversary.injection.pairs of the scenario says 60"),
    ("pairs.postprocessed", False, "adversary.injection.postprocessed of the scenario says True"),
    ("pairs.model_versions", [1], "adversary.injection.rounds of the scenario says (0,)"),
    (
        "privacy",
        {"epsilon": 1, "delta": 1e-5, "noise_multiplier": 1, "max_norm": 1},
        "dp_sgd of the scenario says None",
    ),
    ("parameters.slots.0.shape", [384], "parameters.slots.0"),
    ("parameters.slots.0.name", "other", "no such parameter"),
    ("buffers", ["running_mean"], "no such buffer"),
    ("input_shape", [1, 4, 4], "parameters.slots.0"),
]


@pytest.mark.parametrize(("place", "value", "words"), CASES, ids=[f"{c[0]}={str(c[1])[:24]}" for c in CASES])
def test_what_the_scenario_says_differently_is_refused(changed: Changer, place: str, value: Any, words: str) -> None:
    run = changed(place, value)
    with pytest.raises(InputError) as caught:
        open_transcript(run.scenario(), run.transcript)
    assert words in str(caught.value)


def test_both_values_stand_in_the_message_of_every_command(
    changed: Changer, capsys: pytest.CaptureFixture[str]
) -> None:
    run = changed("training.batch_size", 3)
    for name in ("attack", "labels"):
        outcome = command(capsys, name, run.root)
        assert outcome.code == 2
        (line,) = outcome.errors
        assert line.startswith("transcript.training.batch_size: got 3; federation.client.batch_size")
        assert "says 2; one of the two was changed: restore it, or record the federation anew" in line


def test_a_transcript_that_agrees_is_opened(finished: RunDirectory) -> None:
    assert len(open_transcript(finished.scenario(), finished.transcript).manifest.updates) == 4


def test_one_constant_of_normalisation_is_that_of_every_channel(tmp_path: Path) -> None:
    data = {"kind": "synthetic", "size": 8, "images": 200, "mean": 0.4, "std": 0.25}
    checked = scenario(dataset=data, federation__rounds=1, adversary={"level": 1}, attacks=["dlg"])
    run = run_federation(tmp_path / "run", checked)
    assert open_transcript(checked, run.transcript).manifest.mean == (0.4, 0.4, 0.4)
    other = checked.model_copy(update={"dataset": checked.dataset.model_copy(update={"std": (0.5,)})})
    with pytest.raises(InputError, match=r"dataset.std of the scenario says \(0.5, 0.5, 0.5\)"):
        open_transcript(other, run.transcript)


def test_a_model_that_does_not_fit_is_named(finished: RunDirectory, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from fedleak.stages.network import check_layout, check_models
    from fedleak.transcript.manifest import load_manifest
    from fedleak.transcript.reader import TranscriptReader
    from fedleak.transcript.writer import model_file

    folder = Path(shutil.copytree(finished.transcript, tmp_path / "copy"))
    shapes = check_layout(finished.scenario(), load_manifest(folder))
    save_file({"other": torch.zeros(3)}, folder / model_file(1))
    with pytest.raises(InputError, match=r"version-00001.safetensors.*the network of the scenario has"):
        check_models(TranscriptReader(folder, verify=False), shapes)


def test_the_shape_named_by_the_data_set_is_compared() -> None:
    from fedleak.stages.agreement import check_agreement
    from tests.transcript.manifests import manifest

    checked = scenario(dataset={"kind": "synthetic", "size": 8}, adversary={"level": 1}, attacks=["dlg"])
    with pytest.raises(InputError, match=r"dataset.size of the scenario says \(8, 8\)"):
        check_agreement(checked, manifest())
