"""The tap behind secure aggregation, fed with sums made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord

from fedleak.federation.channel import Delivery, ExpectedUpdate
from fedleak.federation.secure_aggregation import SecureSum
from fedleak.federation.strategy import UpdateAveraging
from fedleak.federation.sum_channel import SumTap
from fedleak.federation.wire import Reply
from tests.federation.messages import CLIENTS, NODES, Recorder, grid, instruction

MODEL = {"w": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0])}


def secure(*clients: int, failures: Mapping[int, str] | None = None, lost: frozenset[int] = frozenset()) -> SecureSum:
    """The mean [2, 4], [-6] over ``clients``."""
    return SecureSum(
        arrays=(torch.tensor([2.0, 4.0]), torch.tensor([-6.0])),
        samples=9,
        nodes=frozenset(NODES[client] for client in clients),
        failures={NODES[client]: reason for client, reason in (failures or {}).items()},
        lost=frozenset(NODES[client] for client in lost),
        bytes=12,
    )


def tap(inner: Any, *, seen: bool = True) -> tuple[SumTap, list[tuple[ExpectedUpdate, Reply]]]:
    """A tap in round 1 of clients 0, 1, 2 whose sum is planned to be seen, and what it records."""
    recorded: list[tuple[ExpectedUpdate, Reply]] = []
    expected = [ExpectedUpdate(0, 1, client, 0) for client in range(3)] if seen else []
    found = SumTap(
        inner,
        clients=CLIENTS,
        expected=lambda number: expected,
        record=lambda update, reply: recorded.append((update, reply)),
    )
    found.configure_train(1, ArrayRecord(torch_state_dict=MODEL), ConfigRecord(), grid())
    return found, recorded


def test_the_server_steps_along_the_sum() -> None:
    honest = UpdateAveraging(
        nodes=NODES,
        versions=lambda number: {0: 0, 1: 0, 2: 0},
        load=lambda version: MODEL,
        instruct=lambda number, client: instruction(),
        step=-0.5,
    )
    arrays, _ = tap(honest)[0].aggregate_sum(1, secure(0, 1, 2), names=["w", "b"])
    assert arrays is not None
    assert {n: t.tolist() for n, t in arrays.to_torch_state_dict().items()} == {"w": [0.0, 0.0], "b": [6.0]}


def test_one_row_is_recorded_for_all_clients_of_the_sum() -> None:
    server = Recorder([0, 1, 2])
    found, recorded = tap(server)
    found.aggregate_sum(1, secure(2, 0, failures={1: "RuntimeError: no"}), names=["w", "b"])
    ((update, reply),) = recorded
    assert (update.row, reply.samples, reply.clients) == (0, 9, 2)
    assert {name: tensor.tolist() for name, tensor in reply.update.items()} == {"w": [2.0, 4.0], "b": [-6.0]}
    (record,) = found.update_records(1)
    assert (record.client, record.summed, record.samples, record.bytes) == (0, (0, 2), 9, 12)
    assert (record.status, record.model_version, record.clients) == ("ok", 0, (0, 2))
    (received,) = server.received
    assert Reply.of(received).clients == 2


def test_who_is_not_in_the_sum_is_told_with_the_reason() -> None:
    found, _ = tap(Recorder([0, 1, 2]))
    failures = {1: "RuntimeError: no", 2: "no reply in time"}
    found.aggregate_sum(1, secure(0, failures=failures, lost=frozenset({2})), names=["w", "b"])
    assert found.deliveries == [
        Delivery(0, "ok"),
        Delivery(1, "failed", "RuntimeError: no"),
        Delivery(2, "failed", "no reply in time", lost=True),
    ]


def test_a_sum_that_is_not_planned_to_be_seen_is_not() -> None:
    server = Recorder([0, 1, 2])
    found, recorded = tap(server, seen=False)
    found.aggregate_sum(1, secure(0, 1, 2), names=["w", "b"])
    assert (recorded, found.update_records(1)) == ([], ())
    assert len(server.received) == 1


def test_every_array_needs_a_name() -> None:
    found, _ = tap(Recorder([0, 1, 2]))
    with pytest.raises(ValueError, match="zip"):
        found.aggregate_sum(1, secure(0, 1, 2), names=["w"])
