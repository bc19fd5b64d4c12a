"""Classification, regression and multi-label learning, from the federation to the scores; and a task of one's own."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

import fedleak
from fedleak.attacks.inversion.dlg import Dlg
from fedleak.attacks.inversion.knowledge import InversionKnowledge
from fedleak.client.dp_sgd import DpSgd
from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.client.private_gradient import private_gradient
from fedleak.errors import InputErrors
from fedleak.models.lenet import LeNet
from fedleak.results.schema import Results
from fedleak.stages.score.truth import TruthReader
from fedleak.tasks.base import LearningTask, Reduction
from fedleak.tasks.multi_label import MultiLabel
from fedleak.tasks.regression import Regression
from fedleak.threat import GlobalModel, ModelArchitecture, PixelPrior, SharedUpdate
from fedleak.transcript.reader import TranscriptReader
from tests.builders import digits
from tests.scenarios import scenario, tiny

EVEN_AND_SMALL = [[0, 2, 4, 6, 8], [0, 1, 2, 3, 4]]
TASKS: dict[str, Any] = {
    "classification": "classification",
    "regression": "regression",
    "multi_label": {"kind": "multi_label", "attributes": EVEN_AND_SMALL},
}
ATTACKS = [
    {"kind": "dlg", "iterations": 3},
    {"kind": "lti", "hidden": 8, "training": {"epochs": 1}},
    {"kind": "linear_layer"},
]


def run(task: str, folder: Path, **changes: Any) -> tuple[Results, TranscriptReader]:
    results = fedleak.run(tiny(task=TASKS[task], attacks=ATTACKS, **changes), out=folder)
    return results, TranscriptReader(folder / "transcript")


def losses(task: str, outputs: Tensor, labels: Tensor) -> Tensor:
    """Written out by hand, mean over the batch."""
    if task == "classification":
        return F.cross_entropy(outputs, labels)
    if task == "regression":
        return (outputs[:, 0] - labels / 9).square().mean()
    table = torch.tensor([[float(label in group) for group in EVEN_AND_SMALL] for label in labels.tolist()])
    return F.binary_cross_entropy_with_logits(outputs, table)


@pytest.mark.parametrize("protocol", ["fedsgd", "fedavg"])
@pytest.mark.parametrize("task", list(TASKS))
def test_a_recorded_update_is_that_of_plain_torch(task: str, protocol: str, tmp_path: Path) -> None:
    """A gradient, or one step of torch's own SGD, on the images that the truth says were used."""
    client = {"protocol": protocol, "batch_size": 2} | ({"samples": 2} if protocol == "fedavg" else {})
    results, reader = run(task, tmp_path, federation__client=client)
    checked = scenario(task=TASKS[task], attacks=ATTACKS, federation__client=client)
    network = checked.model.build((1, 8, 8), checked.task.outputs(10), seed=0)
    for update in (u for u in reader.manifest.updates if u.round == 1):
        network.load_state_dict(reader.model(0))
        batch = TruthReader(tmp_path / "truth").batch(update.row)
        before = [parameter.detach().clone() for parameter in network.parameters()]
        losses(task, network((batch.images - 0.5) / 0.5), batch.labels).backward()
        expected = [parameter.grad for parameter in network.parameters()]
        if protocol == "fedavg":
            torch.optim.SGD(network.parameters(), lr=0.01).step()
            expected = [p.detach() - old for p, old in zip(network.parameters(), before, strict=True)]
        network.zero_grad()
        flat = torch.cat([tensor.flatten() for tensor in expected if tensor is not None])
        torch.testing.assert_close(reader.update(update.row), flat, rtol=1e-4, atol=1e-7)
    trained = "lti" if protocol == "fedavg" else "dlg"  # a delta of unknown steps is a direction, which DLG refuses
    assert {row.status for row in results.rows if row.kind == trained} == {"ok"}


@pytest.mark.parametrize("task", ["regression", "multi_label"])
def test_the_manifest_names_the_task_and_the_scores_are_there(task: str, tmp_path: Path) -> None:
    results, reader = run(task, tmp_path)
    assert reader.manifest.task["kind"] == task
    assert all(0 <= entry.accuracy <= 1 and entry.loss > 0 for entry in results.federation)
    with (tmp_path / "results.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["attack"] == "linear_layer"]
    assert min(float(row["mse"]) for row in rows if row["mse"]) < 1e-6, "an exact attack is exact for any loss"
    assert (tmp_path / "report.html").is_file()


def test_a_federation_learns_a_regression(tmp_path: Path) -> None:
    long = {"federation__rounds": 40, "federation__server__learning_rate": 0.3, "federation__client__batch_size": 32}
    results = fedleak.run(
        tiny(task="regression", attacks=[{"kind": "dlg", "iterations": 1}], adversary__victims={"rounds": [1]}, **long),
        out=tmp_path,
    )
    assert results.federation[-1].loss < 0.6 * results.federation[0].loss


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"attacks": [{"kind": "r_gap"}]}, "attacks.0"),
        ({"adversary__label_inference": "min_rule", "attacks": [{"kind": "dlg"}]}, "adversary.label_inference"),
        ({"attacks": [{"kind": "inverting_gradients"}]}, "adversary.label_inference"),
    ],
)
def test_what_is_made_for_classification_is_refused_for_other_tasks(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(InputErrors) as caught:
        scenario(task="regression", **changes)
    assert [error.path for error in caught.value.errors] == [path]


class RankedPairTask(LearningTask):
    """A throw-away task: two outputs, the first of which should be larger for odd labels, by a hinge."""

    kind: Literal["ranked_pair"] = "ranked_pair"

    def outputs(self, classes: int) -> int:
        return 2

    def targets(self, labels: Tensor, classes: int) -> Tensor:
        return (2.0 * (labels % 2) - 1).unsqueeze(-1)

    def soft_targets(self, labels: Tensor, classes: int) -> Tensor:
        sign = self.targets(labels, classes)
        return torch.cat([sign, -sign], dim=-1)

    def relaxed(self, variables: Tensor) -> Tensor:
        return variables.tanh()

    def found_labels(self, variables: Tensor, classes: int) -> Tensor:
        return (variables[..., 0] > variables[..., 1]).long()

    def loss(self, outputs: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
        margins = F.softplus(1 - targets[..., 0] * (outputs[..., 0] - outputs[..., 1]))
        return {"none": margins, "mean": margins.mean(), "sum": margins.sum()}[reduction]

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return ((outputs[..., 0] > outputs[..., 1]) == (targets[..., 0] > 0)).float()


@pytest.mark.parametrize("task", [RankedPairTask(), Regression(), MultiLabel(attributes=((1, 2), (3,)))])
def test_a_client_and_an_attack_take_any_task(task: LearningTask) -> None:
    """The update is autograd's; gradient matching that replays the same loss comes near the image; others do not."""
    data = digits().train
    images = (torch.from_numpy(data.images[:1]).float() / 255 - 0.5) / 0.5
    targets = task.targets(torch.from_numpy(data.labels[:1]), 10)
    factory = LeNet(channels=6).factory((1, 8, 8), task.outputs(10))
    network, generator = factory(3), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-0.5, 0.5, generator=generator)
    training = LocalTraining("fedsgd", 1, 1, 0.1, train_mode=False, task=task)
    shared = compute_updates(network, images[None], targets[None], training, seed=0)
    task.loss(network(images), targets).backward()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(shared.tensors[name][0], parameter.grad)
    clipped, _ = private_gradient(
        network, images, targets, settings=DpSgd(max_norm=1e6, noise_multiplier=0), generator=generator, task=task
    )
    torch.testing.assert_close(clipped, {name: tensor[0] for name, tensor in shared.tensors.items()})

    state = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    known = InversionKnowledge(
        update=SharedUpdate({n: t[0] for n, t in shared.tensors.items()}, "fedsgd", 1, 1, 1),
        architecture=ModelArchitecture(factory, (1, 8, 8), 10, task),
        model=GlobalModel(state, version=0),
        pixels=PixelPrior(mean=(0.5,), std=(0.5,)),
    )
    answer = Dlg(iterations=60, restarts=3).invert(known, torch.Generator().manual_seed(0))
    assert answer.labels is not None
    assert np.nanmin(answer.curve["matching_loss"]) < 0.05 * answer.curve["matching_loss"][0]
    outputs = functional_call(network, state, ((answer.images - 0.5) / 0.5,))
    assert outputs.shape == (1, task.outputs(10))
