"""The server's rounds, in a federation that is worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fedleak.errors import FederationError
from fedleak.examples import Normalisation
from fedleak.federation.client import app
from fedleak.federation.serial_grid import SerialGrid
from fedleak.federation.server import EVALUATION_BATCH, Server, evaluate
from fedleak.server.crafting.base import Crafting, CraftingKnowledge
from fedleak.tasks.classification import CLASSIFICATION
from fedleak.tasks.regression import Regression
from fedleak.tensors import NamedTensors
from fedleak.transcript.writer import sent_file
from tests.federation.small import (
    IMAGES,
    LABELS,
    LOSS,
    PUBLIC,
    PUBLIC_LABELS,
    check_close,
    gradient,
    labelled,
    mean,
    plan,
    server,
    times,
    zeros,
)


def run(server: Server) -> Server:
    """To its end."""
    server.run(SerialGrid(app, 3))
    return server


def recorded(server: Server, row: int, file: str = "updates.npy") -> dict[str, torch.Tensor]:
    """A row of the transcript, by name."""
    return server.layout.unflatten(torch.from_numpy(np.load(server.writer.folder / file)[row]))


def test_a_round_in_numbers(tmp_path: Path) -> None:
    done = run(server(tmp_path, plan(federation__server__learning_rate=0.5)))
    gradients = [gradient(image, label) for image, label in zip(IMAGES, LABELS, strict=True)]
    check_close(dict(done.writer.load_model(0)), zeros())
    check_close(dict(done.writer.load_model(1)), times(-0.5, mean(*gradients)))
    for row, client in enumerate((1, 2)):
        check_close(recorded(done, row), gradients[client])
    for pair, public in enumerate((1, 0)):
        check_close(recorded(done, pair, "pairs/updates.npy"), gradient(PUBLIC[public], PUBLIC_LABELS[public]))
    assert done.finished


def test_the_record_of_a_round(tmp_path: Path) -> None:
    """Of two equal outputs the first counts: class 0 is right, one image of three. Then the images are learnt."""
    (record,) = run(server(tmp_path, plan())).writer.rounds
    assert record.broadcast_accuracy == pytest.approx(1 / 3)
    assert 0 < record.loss < LOSS
    assert (record.round, record.replies, record.failures) == (1, 3, ())
    assert [(u.row, u.client, u.samples, u.status) for u in record.updates] == [(0, 1, 1, "ok"), (1, 2, 1, "ok")]


def test_every_round_begins_where_the_last_one_ended(tmp_path: Path) -> None:
    done = run(server(tmp_path, plan(rounds=2)))
    first, second = done.writer.rounds
    assert second.broadcast_accuracy == first.accuracy
    old, new = done.writer.load_model(1), done.writer.load_model(2)
    assert all(not torch.equal(old[name], new[name]) for name in old)
    check_close(dict(done.model.state_dict()), dict(new))


def test_a_client_that_fails_does_not_count(tmp_path: Path) -> None:
    broken = [{"round": 1, "client": 1, "mode": "raise"}]
    done = run(server(tmp_path, plan(federation__faults=broken, federation__server__learning_rate=1.0)))
    (record,) = done.writer.rounds
    assert record.failures == ("client 1: failed: RuntimeError: fault provoked by the scenario in round 1",)
    assert (record.replies, [update.status for update in record.updates]) == (2, ["failed", "ok"])
    both = mean(gradient(IMAGES[0], LABELS[0]), gradient(IMAGES[2], LABELS[2]))
    check_close(dict(done.writer.load_model(1)), times(-1.0, both))


def test_a_round_that_cannot_go_on_is_not_recorded(tmp_path: Path) -> None:
    broken = [{"round": 2, "client": client, "mode": "nan"} for client in range(3)]
    begun = server(tmp_path, plan(rounds=2, federation__faults=broken))
    with pytest.raises(FederationError, match="round 2: no client delivered a usable update"):
        run(begun)
    assert (len(begun.writer.rounds), begun.finished) == (1, False)


class ForOne(Crafting):
    """Sends one client a bias of one for its class 0, and everybody else the honest model."""

    kind: Literal["for_one"] = "for_one"
    client: int

    def craft(
        self,
        model: nn.Module,
        known: CraftingKnowledge,
        *,
        client: int,
        round_number: int,
        generator: torch.Generator,
    ) -> NamedTensors | None:
        if client != self.client:
            return None
        return dict(model.state_dict()) | {"1.bias": torch.tensor([1.0, 0.0])}


def test_a_crafted_model_reaches_its_client_alone(tmp_path: Path) -> None:
    """Outputs (1, 0): the gradient is softmax - onehot = (0.7311, 0.2689) - (0, 1), times the image."""
    done = run(server(tmp_path, plan(federation__server__learning_rate=1.0), ForOne(client=2)))
    share = float(np.exp(1) / (np.exp(1) + 1))
    outputs = torch.tensor([share, -share])
    crafted = {"1.weight": torch.outer(outputs, torch.tensor([1.0, 1.0, -1.0, -1.0])), "1.bias": outputs}
    honest = [gradient(IMAGES[client], LABELS[client]) for client in (0, 1)]
    check_close(recorded(done, 0), honest[1])
    check_close(recorded(done, 1), crafted)
    check_close(dict(done.writer.load_model(1)), times(-1.0, mean(*honest, crafted)))
    folder = done.writer.folder
    assert [path.relative_to(folder).as_posix() for path in folder.glob("sent/*")] == [sent_file(1, 2)]
    assert load_file(folder / sent_file(1, 2))["1.bias"].tolist() == [1.0, 0.0]
    check_close(dict(done.writer.load_model(0)), zeros())


class Drawing(Crafting):
    """Sends biases drawn by the adversary."""

    kind: Literal["drawing"] = "drawing"

    def craft(
        self,
        model: nn.Module,
        known: CraftingKnowledge,
        *,
        client: int,
        round_number: int,
        generator: torch.Generator,
    ) -> NamedTensors | None:
        return dict(model.state_dict()) | {"1.bias": torch.rand(2, generator=generator)}


def test_crafting_draws_anew_for_every_client_and_round(tmp_path: Path) -> None:
    done = [run(server(tmp_path / name, plan(rounds=2), Drawing())) for name in "ab"]
    biases = [
        [load_file(each.writer.folder / sent_file(r, c))["1.bias"].tolist() for r in (1, 2) for c in range(3)]
        for each in done
    ]
    assert biases[0] == biases[1]
    assert len({tuple(bias) for bias in biases[0]}) == 6


def instruction_of(folder: Path, *, injected: bool = False, client: int | None = 1, **changes: Any) -> Any:
    """What the server tells a client in round 1."""
    return server(folder, plan(**changes))._instruct(1, client=client, first_pair=5, injected=injected)


def test_an_instruction_names_the_data_and_the_network(tmp_path: Path) -> None:
    told = instruction_of(tmp_path, federation__engine={"kind": "serial", "timeout": 9}, seed=4)
    assert told.key == plan(seed=4).streams.client(1)
    assert (told.round, told.first_pair, told.timeout, told.gpu) == (1, 5, 9.0, False)
    assert (told.input_shape, told.classes, told.mean, told.std) == ((1, 2, 2), 2, (0.5,), (0.5,))
    assert (told.data, told.public) == (str(tmp_path / "truth"), str(tmp_path / "transcript/public"))
    assert (told.fault, told.batch_statistics) == (None, False)


def test_a_fault_is_for_its_client_and_round(tmp_path: Path) -> None:
    broken = [{"round": 1, "client": 1, "mode": "nan"}, {"round": 2, "client": 2, "mode": "raise"}]
    begun = server(tmp_path, plan(rounds=2, federation__faults=broken))
    found = {(n, c): begun._instruct(n, client=c).fault for n in (1, 2) for c in (0, 1, 2)}
    assert {place: mode for place, mode in found.items() if mode} == {(1, 1): "nan", (2, 2): "raise"}
    assert begun._instruct(1, injected=True).fault is None


def test_batch_statistics_are_told_where_they_are_granted(tmp_path: Path) -> None:
    assert instruction_of(tmp_path, adversary__grants=["batch_statistics"]).batch_statistics


CLIPPED = [{"kind": "l2_clipping", "max_norm": 0.5}]


@pytest.mark.parametrize(("postprocessed", "steps"), [(True, ["l2_clipping"]), (False, [])])
def test_pairs_are_postprocessed_unless_the_adversary_knows_of_none(
    tmp_path: Path, postprocessed: bool, steps: list[str]
) -> None:
    changes: dict[str, Any] = {
        "federation__client__postprocess": CLIPPED,
        "adversary__injection": {"pairs": 2, "rounds": [1], "postprocessed": postprocessed},
    }
    begun = server(tmp_path, plan(**changes))
    assert [step.kind for step in begun._instruct(1, injected=True).client.postprocess] == steps
    assert [step.kind for step in begun._instruct(1, client=1).client.postprocess] == ["l2_clipping"]


CONSTANT = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
CONSTANT.load_state_dict({"1.weight": torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0]]), "1.bias": torch.zeros(2)})
"""Its outputs are the first two pixels."""


def test_evaluation_in_numbers() -> None:
    """Outputs (1, -1), (-1, 1), (1, -1) with labels 0, 1, 1: two of three are right, losses log(1 + e^-2) and + 2."""
    data = labelled(("+-++", "-+++", "+---"), (0, 1, 1))
    accuracy, loss = evaluate(CONSTANT, data, Normalisation((0.5,), (0.5,)), task=CLASSIFICATION, classes=2)
    assert accuracy == pytest.approx(2 / 3)
    assert loss == pytest.approx(float(np.log1p(np.exp(-2))) + 2 / 3)


def test_evaluation_is_the_tasks() -> None:
    """One output, the first pixel, against the class scaled to [0, 1]: errors 0, 0 and 1."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    model.load_state_dict({"1.weight": torch.tensor([[1.0, 0, 0, 0]]), "1.bias": torch.zeros(1)})
    data = labelled(("----", "+---", "+---"), (0, 1, 0))
    assert evaluate(model, data, Normalisation((0.0,), (1.0,)), task=Regression(), classes=2) == (
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
    )


def test_evaluation_counts_every_image_once_whatever_the_batches() -> None:
    count = EVALUATION_BATCH + 1
    data = labelled(("+-++",) * EVALUATION_BATCH + ("+---",), (0,) * EVALUATION_BATCH + (1,))
    accuracy, loss = evaluate(CONSTANT, data, Normalisation((0.5,), (0.5,)), task=CLASSIFICATION, classes=2)
    assert accuracy == pytest.approx(EVALUATION_BATCH / count)
    assert loss == pytest.approx(float(np.log1p(np.exp(-2))) + 2 / count)


def test_evaluation_is_in_evaluation_mode_and_changes_no_statistics() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 2)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(model, labelled(IMAGES, LABELS), Normalisation((0.5,), (0.5,)), task=CLASSIFICATION, classes=2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
