"""The asynchronous server: what it makes of late replies before its rule sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord

from fedleak.federation.asynchronous import AsynchronousServer
from fedleak.server.aggregation.base import Aggregation, Arrival, StalenessWeight
from fedleak.server.aggregation.fedasync import FedAsync
from fedleak.tensors import NamedTensors
from tests.federation.messages import NODES, answer, grid, instruction

MODELS = {
    0: {"w": torch.tensor([0.0]), "seen": torch.tensor(0)},
    1: {"w": torch.tensor([8.0]), "seen": torch.tensor(10)},
}


class Watching(Aggregation):
    """Keeps what it is given in its memory and moves by a half."""

    kind: Literal["watching"] = "watching"

    def aggregate(
        self, model: NamedTensors, arrivals: Sequence[Arrival], memory: NamedTensors, *, version: int
    ) -> tuple[NamedTensors, NamedTensors]:
        rows = [torch.tensor([a.version, a.samples, float(a.origin["w"]), float(a.change["w"])]) for a in arrivals]
        kept = memory.get("rows", torch.zeros(0, 4))
        return {name: value + 0.5 for name, value in model.items()}, {"rows": torch.cat([kept, torch.stack(rows)])}


def server(rule: Aggregation, memory: NamedTensors | None = None) -> AsynchronousServer:
    """In its second round client 0 computes on the current version, client 1 on the one before; step -2."""
    strategy = AsynchronousServer(
        rule,
        memory=memory or {},
        nodes=NODES,
        versions=lambda number: {0: number - 1, 1: max(0, number - 2)},
        load=lambda version: MODELS[version],
        instruct=lambda number, client: instruction(round=number),
        step=-2.0,
    )
    strategy.configure_train(2, ArrayRecord(torch_state_dict=MODELS[1]), ConfigRecord(), grid())
    return strategy


def test_the_rule_is_given_each_update_with_its_origin_and_version() -> None:
    strategy = server(Watching())
    arrays, metrics = strategy.aggregate_train(2, [answer(0, 1.0, samples=3), answer(1, -4.0, samples=5)])
    assert strategy.memory["rows"].tolist() == [[1.0, 3.0, 8.0, -2.0], [0.0, 5.0, 0.0, 8.0]]
    assert arrays is not None
    assert arrays.to_torch_state_dict()["w"].tolist() == [8.5]
    assert metrics is None


def test_the_memory_of_an_earlier_process_is_taken_up() -> None:
    strategy = server(Watching(), {"rows": torch.full((1, 4), 7.0)})
    strategy.aggregate_train(2, [answer(0, 1.0)])
    assert strategy.memory["rows"].tolist() == [[7.0] * 4, [1.0, 1.0, 8.0, -2.0]]


def test_an_unknown_number_of_images_counts_as_none() -> None:
    strategy = server(Watching())
    strategy.aggregate_train(2, [answer(0, 1.0, samples=None)])
    assert strategy.memory["rows"][0, 1] == 0


@pytest.mark.parametrize(("client", "origin"), [(0, 10), (1, 0)])
def test_buffers_change_by_what_they_differ_from_their_own_origin(client: int, origin: int) -> None:
    """Fully mixed in, the model's counter becomes the client's."""
    strategy = server(FedAsync(mixing=1.0, weight=StalenessWeight(kind="constant")))
    arrays, _ = strategy.aggregate_train(2, [answer(client, 0.0, buffers={"seen": torch.tensor(origin + 4)})])
    assert arrays is not None
    state = arrays.to_torch_state_dict()
    assert (state["seen"].item(), state["seen"].dtype) == (origin + 4, torch.int64)


def test_fedasync_in_numbers() -> None:
    """Weights 0.5 / (age + 1): x = 8; client 0: x + 0.5 (8 - 2 - 8) = 7; client 1: x + 0.25 (0 + 8 - 7) = 7.25."""
    strategy = server(FedAsync(mixing=0.5, weight=StalenessWeight(kind="polynomial", a=1.0)))
    arrays, _ = strategy.aggregate_train(2, [answer(0, 1.0), answer(1, -4.0)])
    assert arrays is not None
    assert arrays.to_torch_state_dict()["w"].tolist() == [7.25]
