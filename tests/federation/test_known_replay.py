"""An attacker who knows everything replays a real Flower client's update from the true images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.attacks.replay import replay, replica, split_state
from fedleak.errors import InputErrors
from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.results.schema import load_results
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack.view import View
from fedleak.stages.score.truth import TruthReader
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import run_federation, scenario

SGD = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "schedule": {"kind": "cosine", "final": 0.1}}
CLIENT: dict[str, Any] = {
    "protocol": "fedavg",
    "samples": 7,
    "batch_size": 3,
    "local_epochs": 2,
    "local_learning_rate": 0.5,
    "local_sgd": SGD,
}
GRANTS = ["shared_update", "model_architecture", "global_model", "pixel_prior", "training_details", "mini_batch_order",
          "true_labels"]  # fmt: skip


def attacks(*knowledge: str) -> list[dict[str, Any]]:
    return [{"kind": "inverting_gradients", "id": k, "iterations": 2, "local_training": k} for k in knowledge]


def changes(**more: Any) -> dict[str, Any]:
    return {
        "model": {"kind": "lenet", "channels": 4},
        "federation__client": CLIENT,
        "adversary": {"grants": GRANTS, "label_inference": "oracle", "victims": {"clients": [1, 2]}},
        "attacks": attacks("known_with_order"),
        **more,
    }


@pytest.fixture(scope="module")
def normalised_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A network whose batch normalisation runs in training mode, on mini-batches of three and a last one of one."""
    normed = changes(
        model={"kind": "convnet", "widths": [4, 8]},
        federation__client=CLIENT | {"batch_norm": "train_shared"},
        attacks=[attacks("known_with_order")[0] | {"train_mode": True}],
    )
    return run_federation(tmp_path_factory.mktemp("normalised") / "run", scenario(**normed))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    every = attacks("known_with_order", "known", "estimated", "unknown")
    return run_federation(tmp_path_factory.mktemp("known_with_order") / "run", scenario(**changes(attacks=every)))


def known_of(run: RunDirectory, row: int) -> dict[str, Any]:
    """What the attack is given, through the view."""
    reader, checked = TranscriptReader(run.transcript), run.scenario()
    attack = InvertingGradients.model_validate({"local_training": "known_with_order"})
    view = View(
        reader,
        checked.adversary.granted,
        reader.manifest.updates[row],
        inference=checked.adversary.label_inference,
    )
    known = view.capabilities(attack.reconstruct, wanted=attack.wanted())
    return {"problem": attack.problem(known["known"])}


@pytest.mark.parametrize("row", range(4))
def test_the_true_images_give_the_true_delta(run: RunDirectory, row: int) -> None:
    """Momentum, weight decay, a schedule, two epochs of three mini-batches, the last of them short."""
    assert_replayed(run, row, train_mode=False)


def test_batch_normalisation_in_training_mode_is_replayed(normalised_run: RunDirectory) -> None:
    assert_replayed(normalised_run, 0, train_mode=True)


def assert_replayed(
    run: RunDirectory, row: int, *, train_mode: bool, tolerance: float = 1e-6, least: float = 0.1
) -> None:
    known, batch = known_of(run, row), TruthReader(run.truth).batch(row)
    problem = known["problem"]
    module = problem.known.architecture.build(seed=0)
    by_class = batch.labels.argsort(stable=True)  # the attacker's labels are sorted
    assert torch.equal(problem.labels, batch.labels[by_class])
    images = ((batch.images - 0.5) / 0.5)[by_class]
    targets = F.one_hot(problem.labels, 10).float()
    parameters, buffers = split_state(module, problem.known.model.state)
    assert [len(b) for b in problem.steps.batches] == [3, 3, 1] * 2
    delta: dict[str, Tensor] = replay(
        replica(module, train_mode=train_mode), parameters, buffers, images, targets, problem.steps
    )
    for name, tensor in problem.known.update.tensors.items():
        torch.testing.assert_close(delta[name], tensor, atol=tolerance, rtol=0)
    assert problem.known.update.flat().abs().max() > least


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adam": {"local_optimizer": {"kind": "adam", "weight_decay": 0.01}},
    "adamw": {"local_optimizer": {"kind": "adamw", "amsgrad": True, "schedule": "cosine"}},
    "fedprox": {"proximal_mu": 0.5, "local_learning_rate": 0.5},
    "fedprox_adam": {"proximal_mu": 0.5, "local_optimizer": "adam"},
}


@pytest.fixture(scope="module", params=list(OPTIMIZERS))
def optimized_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    client = {key: value for key, value in CLIENT.items() if key != "local_sgd"} | {"local_learning_rate": 0.02}
    every = attacks("known_with_order", "known")
    changed = changes(federation__client=client | OPTIMIZERS[request.param], attacks=every)
    return run_federation(tmp_path_factory.mktemp(request.param) / "run", scenario(**changed))


@pytest.mark.parametrize("row", [0, 3])
def test_other_local_objectives_and_optimizers_are_replayed(optimized_run: RunDirectory, row: int) -> None:
    """Adam, AdamW and FedProx: the true images reproduce the recorded delta to 1e-5."""
    assert_replayed(optimized_run, row, train_mode=False, tolerance=1e-5, least=0.03)


def test_gradient_matching_runs_through_their_steps(optimized_run: RunDirectory) -> None:
    attack_run(optimized_run, progress=QuietProgress())
    found = {s.attack: s for s in load_results(optimized_run.root).attacks if not s.is_baseline}
    assert {name: summary.failures for name, summary in found.items()} == {"known_with_order": 0, "known": 0}


@pytest.mark.parametrize("wrong", [{"local_optimizer": "adam"}, {"proximal_mu": 0.1}])
def test_one_gradient_takes_no_local_optimizer(wrong: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"local_optimizer, proximal_mu belong to protocol fedavg"):
        scenario(federation__client=wrong)


def test_one_optimizer_is_enough() -> None:
    with pytest.raises(Exception, match="choose either local_sgd or local_optimizer"):
        scenario(federation__client=CLIENT | {"local_optimizer": "adam"})


def test_results_say_what_was_known(run: RunDirectory) -> None:
    attack_run(run, progress=QuietProgress(), isolated=False)
    results = load_results(run.root)
    found = {summary.attack: summary for summary in results.attacks if not summary.is_baseline}
    assert {name: summary.local_knowledge for name, summary in found.items()} == {k: k for k in found}
    asked = {name: {"training_details", "mini_batch_order"} & set(s.capabilities) for name, s in found.items()}
    assert asked == {
        "known_with_order": {"training_details", "mini_batch_order"},
        "known": {"training_details"},
        "estimated": set(),
        "unknown": set(),
    }


@pytest.mark.parametrize(
    ("knowledge", "missing"), [("known_with_order", "mini_batch_order"), ("known", "training_details")]
)
def test_what_is_not_granted_cannot_be_known(knowledge: str, missing: str) -> None:
    grants = [name for name in GRANTS if name != missing]
    with pytest.raises(InputErrors, match=f"it needs {missing}"):
        scenario(**changes(attacks=attacks(knowledge), adversary__grants=grants))


def test_an_order_that_is_not_granted_is_not_recorded(tmp_path: Path) -> None:
    grants = [name for name in GRANTS if name != "mini_batch_order"]
    quiet = run_federation(tmp_path, scenario(**changes(attacks=attacks("known"), adversary__grants=grants)))
    assert all(update.mini_batches is None for update in TranscriptReader(quiet.transcript).manifest.updates)


def test_one_gradient_takes_no_local_settings() -> None:
    with pytest.raises(Exception, match="local_sgd belong to protocol fedavg"):
        scenario(federation__client={"local_sgd": SGD})
