"""Labels that reach an attack are inferred from the update it sees; everything else about views is in test_threat."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fedleak.attacks.labels.base import LabelInference
from fedleak.attacks.labels.greedy_bias import GreedyBias
from fedleak.attacks.labels.row_sum import RowSum
from fedleak.errors import AttackFailedError, InputError
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack.view import CapabilityNotGrantedError, View
from fedleak.threat import InferredLabels, SharedUpdate, TrainingDetails, granted_by_level
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import run_federation, scenario


def asks(labels: InferredLabels) -> None:
    """Stands for an attack with fixed labels."""


def knows_training(training: TrainingDetails) -> None:
    """Stands for an attack that knows how clients train."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return run_federation(tmp_path_factory.mktemp("views") / "run", scenario(federation__client__batch_size=4))


def view(run: RunDirectory, inference: LabelInference | None, level: int = 5, **changes: object) -> View:
    reader = TranscriptReader(run.transcript)
    record = reader.manifest.updates[0].model_copy(update=changes)
    return View(reader, granted_by_level(level), record, inference=inference)


@pytest.mark.parametrize("inference", [GreedyBias(), RowSum()], ids=["greedy_bias", "row_sum"])
def test_labels_are_what_the_inference_says_of_this_update(run: RunDirectory, inference: LabelInference) -> None:
    seen = view(run, inference)
    given = seen.capabilities(asks)["labels"]
    update = seen.capabilities(inference.infer)["update"]
    assert isinstance(given, InferredLabels)
    assert isinstance(update, SharedUpdate)
    assert given.method == inference.kind
    assert torch.equal(given.labels, inference.infer(update, count=4))


def test_another_update_gives_other_labels(run: RunDirectory) -> None:
    """The truth is never asked: with the sign of the update turned, the guess changes."""
    update = view(run, None).capabilities(GreedyBias().infer)["update"]
    assert isinstance(update, SharedUpdate)
    turned = replace(update, tensors={name: -tensor for name, tensor in update.tensors.items()})
    assert not torch.equal(GreedyBias().infer(update, count=4), GreedyBias().infer(turned, count=4))


def test_without_an_inference_there_are_no_labels(run: RunDirectory) -> None:
    with pytest.raises(CapabilityNotGrantedError, match="inferred_labels"):
        view(run, None).capabilities(asks)


def test_an_update_of_unknown_size_has_no_labels(run: RunDirectory) -> None:
    with pytest.raises(AttackFailedError, match="the number of images"):
        view(run, GreedyBias(), samples=None).capabilities(asks)


def test_the_inference_gets_no_more_than_is_granted(run: RunDirectory) -> None:
    reader = TranscriptReader(run.transcript)
    blind = View(reader, frozenset({"pixel_prior"}), reader.manifest.updates[0], inference=GreedyBias())
    with pytest.raises(CapabilityNotGrantedError, match="shared_update"):
        blind.capabilities(asks)


def test_tensors_lie_where_they_are_wanted(run: RunDirectory) -> None:
    reader = TranscriptReader(run.transcript)
    elsewhere = View(reader, granted_by_level(5), reader.manifest.updates[0], device=torch.device("meta"))
    update = elsewhere.capabilities(GreedyBias().infer)["update"]
    assert isinstance(update, SharedUpdate)
    assert {tensor.device.type for tensor in update.tensors.values()} == {"meta"}


@pytest.mark.parametrize(
    ("training", "reason"),
    [
        ({"local_optimizer": {"kind": "lion"}}, r"local_optimizer\.kind.*known kinds: adam, adamw"),
        ({"local_optimizer": {"kind": "adam", "eps": -1}}, r"training\.local_optimizer.*greater than 0"),
        ({"local_sgd": {"momentum": 2}}, r"training\.local_sgd.*less than 1"),
    ],
)
def test_an_optimizer_that_nobody_knows_is_the_transcripts_fault(
    run: RunDirectory, training: dict[str, object], reason: str
) -> None:
    reader = TranscriptReader(run.transcript)
    changed = reader.manifest.training.model_copy(update=training)
    reader.manifest = reader.manifest.model_copy(update={"training": changed})
    foreign = View(reader, granted_by_level(5), reader.manifest.updates[0])
    with pytest.raises(InputError, match=reason):
        foreign.capabilities(knows_training)
