"""Run directories made of what was observed elsewhere, from plain loops to scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedleak.audit.observed import LocalSettings, Observation
from fedleak.audit.recording import write_observed_run
from fedleak.errors import InputError
from fedleak.models.factory import CONSENT
from fedleak.pipeline import attack_run
from fedleak.progress import LineProgress, QuietProgress
from fedleak.results.schema import load_results
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack.view import View
from fedleak.threat import TrainingDetails
from fedleak.transcript.reader import TranscriptReader
from tests.audit.observations import PATH, about, batch, loss, net, observations, rounds

QUICK = {"kind": "inverting_averaging", "iterations": 3, "train_mode": True, "compile": "never"}


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONSENT, f"{PATH},tests.user_models:Ready")


def changed(**changes: Any) -> Iterator[Observation]:
    """The observations, the first of which is changed."""
    first, *rest = observations()
    yield dataclasses.replace(first, **changes)
    yield from rest


def test_rows_models_and_truth_are_those_of_the_plain_loop(tmp_path: Path) -> None:
    said: list[str] = []
    run = write_observed_run(observations(), about(), tmp_path / "run", progress=LineProgress(said.append))
    reader = TranscriptReader(run.transcript)
    for row, (number, client, sent, back) in enumerate(rounds()):
        update = reader.manifest.updates[row]
        assert (update.round, update.client, update.samples, update.status) == (number, client, 2, "ok")
        tensors = reader.manifest.parameters.unflatten(reader.update(row))
        for (name, old), new in zip(sent.named_parameters(), back.parameters(), strict=True):
            torch.testing.assert_close(tensors[name], (new - old).detach(), rtol=0, atol=1e-7)
        assert all(torch.equal(reader.model(number - 1)[name], value) for name, value in sent.state_dict().items())
        assert reader.sent(number, client) is None
    assert said == ["broadcast weights: matched by order and shape, not by name", "updates: " + said[0].split(": ")[1]]
    images = np.load(run.truth / "00000" / "images.npy")
    assert np.array_equal(images, np.concatenate([batch(2)[0], batch(4)[0]]))
    client = run.scenario().federation.client
    assert (client.protocol, client.local_learning_rate, client.batch_norm) == ("fedavg", 0.1, "train_shared")
    assert run.scenario().adversary.label_inference.train_mode, "labels are inferred in the clients' mode"
    assert run.scenario().attacks[0].train_mode


def test_it_is_attacked_and_scored_where_the_truth_is_known(tmp_path: Path) -> None:
    run = write_observed_run(observations(), about(), tmp_path / "run", attacks=[QUICK])
    results = attack_run(run, progress=QuietProgress(), isolated=False, overrides=["metrics.lpips=null"])
    assert (run.root / "report.html").is_file()
    attack = results.attacks[0]
    assert (attack.images, attack.unscored, attack.failures) == (4, 4, 0)
    assert {row.victim for row in results.rows if row.metrics} == {0}
    lacking = [row for row in results.rows if not row.metrics]
    assert {row.victim for row in lacking} == {1}
    assert {row.label_true for row in lacking} == {None}
    assert any("2 of 4 updates are attacked and not scored" in note for note in results.notes)


def test_without_any_truth_the_report_shows_images_and_says_why_nothing_is_scored(tmp_path: Path) -> None:
    run = write_observed_run(observations(1, truth=None), about(), tmp_path / "run", attacks=[QUICK])
    assert not run.truth.exists()
    attack_run(run, progress=QuietProgress(), isolated=False)
    results = load_results(run.root)
    (attack,) = results.attacks
    assert (attack.images, attack.unscored, attack.metrics) == (0, 4, {})
    assert all((run.root / "pictures" / picture.reconstruction).is_file() for picture in attack.pictures)
    assert all(picture.note.startswith("labels in the batch: ") for picture in attack.pictures)
    assert any(note.startswith("nothing is scored") for note in results.notes)
    assert any("accuracy of the global model is not known" in note for note in results.notes)
    page = (run.root / "report.html").read_text()
    assert "no ground truth to score against" in page
    assert "not known" in page


def test_gradients_have_a_protocol_of_their_own(tmp_path: Path) -> None:
    model = net().eval()
    gradient = torch.autograd.grad(loss(model, 0), list(model.parameters()))
    seen = Observation(1, 0, model.state_dict(), list(gradient), "gradient", samples=2)
    run = write_observed_run([seen], about(training=LocalSettings()), tmp_path / "run")
    reader = TranscriptReader(run.transcript)
    assert torch.equal(reader.update(0), torch.cat([each.flatten() for each in gradient]))
    assert reader.manifest.protocol == "fedsgd"
    assert reader.manifest.training.unknown == ()
    assert run.scenario().federation.client.batch_size == 2


def test_a_client_that_was_sent_another_model_has_its_own(tmp_path: Path) -> None:
    first, second = list(observations(1))
    assert isinstance(second.sent, list)
    other = dataclasses.replace(second, sent=[each + 1 if each.dtype == np.float32 else each for each in second.sent])
    run = write_observed_run([first, other], about(), tmp_path / "run")
    reader = TranscriptReader(run.transcript)
    own = reader.sent(1, 1)
    assert own is not None
    torch.testing.assert_close(own["fc2.bias"], reader.model(0)["fc2.bias"] + 1)
    assert reader.sent(1, 0) is None


def test_rounds_may_come_in_any_order(tmp_path: Path) -> None:
    a, b = [
        write_observed_run(order, about(), tmp_path / name).transcript
        for name, order in (
            ("a", list(observations())),
            ("b", sorted(observations(), key=lambda o: (-o.client, o.round))),
        )
    ]
    one, other = TranscriptReader(a), TranscriptReader(b)
    assert [(u.round, u.client) for u in one.manifest.updates] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert {(u.round, u.client) for u in other.manifest.updates} == {(1, 0), (1, 1), (2, 0), (2, 1)}
    rows = {(u.round, u.client): other.update(u.row) for u in other.manifest.updates}
    assert all(torch.equal(one.update(u.row), rows[u.round, u.client]) for u in one.manifest.updates)
    assert not any(name.startswith("sent/") for name in other.manifest.checksums)


def test_unknown_settings_are_said_and_no_attack_is_told(tmp_path: Path) -> None:
    run = write_observed_run(observations(), about(training=LocalSettings(epochs=1)), tmp_path / "run")
    reader = TranscriptReader(run.transcript)
    assert reader.manifest.training.unknown == ("local_learning_rate", "batch_size")
    scenario = run.scenario()
    assert "training_details" not in scenario.adversary.granted
    assert "local_learning_rate, batch_size" in scenario.description
    assert [attack.kind for attack in scenario.attacks] == ["inverting_gradients"]

    def asks(training: TrainingDetails) -> None:
        """What nobody knows."""

    view = View(reader, frozenset({"training_details"}), reader.manifest.updates[0])
    with pytest.raises(Exception, match="does not know the clients' local_learning_rate, batch_size"):
        view.capabilities(asks)


@pytest.mark.parametrize(
    ("value", "status"), [(float("nan"), "non_finite"), (float("inf"), "non_finite"), (None, "failed")]
)
def test_updates_that_are_none_are_recorded_with_the_reason_or_refused(
    tmp_path: Path, value: float | None, status: str
) -> None:
    first = next(observations())
    assert isinstance(first.sent, list)
    rubbish = first.sent if value is None else [np.full_like(each, value) if each.ndim else each for each in first.sent]
    run = write_observed_run(changed(returned=rubbish), about(), tmp_path / "run")
    update = TranscriptReader(run.transcript).manifest.updates[0]
    assert update.status == status
    assert update.reason
    with pytest.raises(InputError, match=r"round 1, client 0: update.*there is nothing to attack"):
        write_observed_run(changed(returned=rubbish), about(), tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists(), "nothing is left of a run that was refused"


def test_clients_that_failed_are_in_the_record(tmp_path: Path) -> None:
    lost = Observation(2, 5, None, None, failure="ValueError: boom")
    run = write_observed_run([lost, *observations()], about(), tmp_path / "run")
    manifest = TranscriptReader(run.transcript).manifest
    assert manifest.rounds[1].failures == ("client 5: ValueError: boom",)
    assert run.scenario().federation.clients == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sent": None}, r"round 1, client 0: broadcast: got None; expected the weights"),
        ({"returned": [np.zeros(3)]}, r"round 1, client 0: update.*'1 tensors, the first \(3,\)'"),
        ({"returned_is": "gradient"}, "the others are gradient; expected one kind"),
        ({"round": 0}, "rounds are 1 to"),
        ({"client": 10**9}, "clients are 0 to"),
        ({"client": 1}, "a second update"),
        ({"samples": 0}, "at least one image"),
    ],
)
def test_what_cannot_be_recorded_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_observed_run(changed(**changes), about(), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_shape": (8, 8)}, r"expected \(channels, height, width\)"),
        ({"mean": (0.1, 0.2)}, "mean"),
        ({"class_names": ("a",)}, "class_names"),
        ({"model": "tests.user_models:plain"}, CONSENT),
        ({"model": "no_such_kind"}, "model"),
        ({"classes": 3}, r"got \(10, 8\); the model has \(3, 8\) there \(fc2\.weight\)"),
    ],
)
def test_what_does_not_fit_the_federation_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_observed_run(observations(), about(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_is_replaced_without_force(tmp_path: Path) -> None:
    write_observed_run(observations(), about(), tmp_path / "run")
    with pytest.raises(InputError, match="--force replaces it"):
        write_observed_run(observations(), about(), tmp_path / "run")
    write_observed_run(observations(1), about(), tmp_path / "run", force=True)
    assert len(TranscriptReader(tmp_path / "run" / "transcript").manifest.updates) == 2


def test_no_observation_is_an_error_that_says_what_came_instead(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected at least one update"):
        write_observed_run([], about(), tmp_path / "run")
    with pytest.raises(InputError, match=r"1 without an update.*boom"):
        write_observed_run([Observation(1, 0, None, None, failure="boom")], about(), tmp_path / "run")


def test_a_module_stands_in_for_a_broadcast_that_nobody_saw(tmp_path: Path) -> None:
    from tests.user_models import Ready

    torch.manual_seed(3)
    model = Ready()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradient = torch.autograd.grad(loss(model.eval(), 0), list(model.parameters()))
    seen = Observation(1, 0, None, list(gradient), "gradient", samples=2)
    run = write_observed_run([seen], about(model=model), tmp_path / "run")
    kept = TranscriptReader(run.transcript).model(0)
    assert all(torch.equal(kept[name], value) for name, value in before.items())
    assert run.scenario().model.model_dump()["path"] == "tests.user_models:Ready"


def test_a_module_that_no_other_process_can_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="write a function that returns it"):
        write_observed_run(observations(), about(model=torch.nn.Sequential(net())), tmp_path / "run")


def test_the_run_directory_is_one_like_any_other(tmp_path: Path) -> None:
    run = write_observed_run(observations(), about(), tmp_path / "run", name="mine", seed=4)
    again = RunDirectory(run.root).scenario()
    assert (again.name, again.seed, again.dataset.kind) == ("mine", 4, "unseen")
    with pytest.raises(InputError, match="its clients' images are not here"):
        again.dataset.load()
