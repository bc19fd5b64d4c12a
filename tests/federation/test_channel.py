"""The tap: what it records, what it withholds from the server, and what clients are sent through it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from torch import Tensor

from fedleak.client.postprocess.encoding.update import encode_update
from fedleak.errors import FederationError
from fedleak.federation.channel import ChannelTap, Delivery, ExpectedUpdate
from fedleak.federation.failures import WorkerLostError
from fedleak.federation.wire import Reply, instruction_of, model_of
from fedleak.tensors import NamedTensors
from tests.federation.messages import CLIENTS, NODES, Recorder, answer, failed, grid, request

NAN = float("nan")
DIED = "<class 'ray.exceptions.ActorDiedError'>:<'The actor died unexpectedly'>"


class Tap:
    """A tap between a recording server and hand-made replies; in round 2 clients 1 and 2 are victims.

    Attributes:
        recorded: victims' updates, as they were stored.
        sent: (round, client) -> the crafted model.
    """

    def __init__(self, *clients: int, **settings: Any) -> None:
        self.server = Recorder(clients)
        self.recorded: list[tuple[ExpectedUpdate, Reply]] = []
        self.sent: dict[tuple[int, int], NamedTensors] = {}
        expected = {2: [ExpectedUpdate(4, 2, 1, 1), ExpectedUpdate(5, 2, 2, 0)]}
        self.tap = ChannelTap(
            self.server,
            clients=CLIENTS,
            expected=lambda number: expected.get(number, []),
            record=lambda update, reply: self.recorded.append((update, reply)),
            record_sent=lambda number, client, state: self.sent.update({(number, client): state}),
            **settings,
        )

    def ask(self, number: int = 2) -> list[Message]:
        """What the clients are sent."""
        arrays = ArrayRecord(torch_state_dict={"w": torch.tensor([1.0, 2.0])})
        return list(self.tap.configure_train(number, arrays, ConfigRecord(), grid()))


def asked(*clients: int) -> Tap:
    """A tap whose clients have been asked in round 2."""
    tap = Tap(*clients)
    tap.ask()
    return tap


def test_usable_replies_reach_the_server_in_the_order_of_the_partitions() -> None:
    tap = asked(2, 0, 1)
    tap.tap.aggregate_train(2, [answer(1, 1.0), answer(2, 2.0), answer(0, 0.0)])
    assert [float(Reply.of(reply).update["w"]) for reply in tap.server.received] == [0.0, 1.0, 2.0]
    assert tap.tap.deliveries == [Delivery(client, "ok", samples=1) for client in (0, 1, 2)]


def test_victims_are_recorded_with_their_rows_and_others_are_not() -> None:
    tap = asked(0, 1, 2)
    replies = [answer(client, float(client), samples=client + 1) for client in (0, 1, 2)]
    tap.tap.aggregate_train(2, replies)
    seen = [(update.row, update.client, float(reply.update["w"]), reply.samples) for update, reply in tap.recorded]
    assert seen == [(4, 1, 1.0, 2), (5, 2, 2.0, 3)]
    first, second = tap.tap.update_records(2)
    assert (first.row, first.round, first.client, first.model_version, first.samples) == (4, 2, 1, 1, 2)
    assert (second.row, second.model_version, second.status, second.reason) == (5, 0, "ok", "")
    assert first.bytes == len(encode_update({"w": torch.tensor([1.0])}))


def test_the_recorded_size_counts_buffers_and_no_statistics() -> None:
    tap = asked(1, 2)
    more: dict[str, Any] = {"buffers": {"seen": torch.tensor(3)}, "statistics": {"layer.mean": torch.ones(50)}}
    tap.tap.aggregate_train(2, [answer(1, 1.0, 2.0, **more), answer(2, 1.0, 2.0)])
    with_buffers, plain = tap.tap.update_records(2)
    shared = {"w": torch.tensor([1.0, 2.0]), "buffers/seen": torch.tensor(3)}
    assert with_buffers.bytes == len(encode_update(shared))
    assert plain.bytes == len(encode_update({"w": shared["w"]}))


def empty(client: int) -> Message:
    """An answer without an update."""
    return Message(RecordDict(), reply_to=request(client))


def unusable() -> list[tuple[Message | None, Delivery]]:
    """Replies of client 1, and what becomes of each."""
    not_finite = "the update holds NaN or infinite values"
    return [
        (None, Delivery(1, "missing", "no reply in time", lost=True)),
        (failed(1, "RuntimeError: no"), Delivery(1, "failed", "RuntimeError: no")),
        (failed(1, "the node is gone: no word"), Delivery(1, "failed", "the node is gone: no word", lost=True)),
        (empty(1), Delivery(1, "failed", "malformed reply: KeyError: 'arrays'")),
        (failed(1, ""), Delivery(1, "failed", "unknown error")),
        (failed(1, DIED), Delivery(1, "failed", "the worker process died", lost=True)),
        (answer(1, 1.0, NAN, samples=3), Delivery(1, "non_finite", not_finite, 3)),
        (answer(1, float("inf"), samples=3), Delivery(1, "non_finite", not_finite, 3)),
        (answer(1, 1.0, buffers={"running": torch.tensor([NAN])}), Delivery(1, "non_finite", not_finite, 1)),
        (answer(1, 1.0, statistics={"layer.var": torch.tensor([NAN])}), Delivery(1, "non_finite", not_finite, 1)),
    ]


@pytest.mark.parametrize("case", range(10))
def test_an_unusable_reply_is_recorded_as_such_and_kept_from_the_server(case: int) -> None:
    tap = asked(1, 2)
    reply, expected = unusable()[case]
    tap.tap.aggregate_train(2, [answer(2, 2.0), *([reply] if reply is not None else [])])
    assert tap.tap.deliveries == [expected, Delivery(2, "ok", samples=1)]
    assert [reply.metadata.src_node_id for reply in tap.server.received] == [NODES[2]]
    assert [update.client for update, _ in tap.recorded] == [2]
    row = tap.tap.update_records(2)[0]
    assert (row.status, row.reason, row.bytes, row.samples) == (
        expected.status,
        expected.reason,
        None,
        expected.samples,
    )


def test_a_reply_that_is_objected_to_is_recorded_as_malformed_and_kept_from_the_server() -> None:
    tap = Tap(1, 2, objection=lambda client, message, reply: "too large" if client == 1 else "")
    tap.ask()
    tap.tap.aggregate_train(2, [answer(1, 1.0), answer(2, 2.0)])
    assert tap.tap.deliveries == [Delivery(1, "failed", "malformed reply: too large"), Delivery(2, "ok", samples=1)]
    assert [reply.metadata.src_node_id for reply in tap.server.received] == [NODES[2]]


def test_whole_numbers_are_always_finite() -> None:
    tap = asked(1, 2)
    tap.tap.aggregate_train(2, [answer(client, 1.0, buffers={"seen": torch.tensor(2**40)}) for client in (1, 2)])
    assert [delivery.status for delivery in tap.tap.deliveries] == ["ok", "ok"]


@pytest.mark.parametrize(("reason", "kind"), [("RuntimeError: no", FederationError), (DIED, WorkerLostError)])
def test_without_a_usable_reply_the_round_cannot_go_on(reason: str, kind: type[FederationError]) -> None:
    tap = asked(1, 2)
    with pytest.raises(FederationError, match=r"round 2: no client delivered .*client 1: .*; client 2: the upd") as e:
        tap.tap.aggregate_train(2, [failed(1, reason), answer(2, NAN)])
    assert type(e.value) is kind
    assert not tap.recorded


def test_sizes_are_those_of_the_last_round() -> None:
    tap = asked(1, 2)
    tap.tap.aggregate_train(2, [answer(1, 1.0), answer(2, 2.0)])
    tap.tap.aggregate_train(2, [answer(1, NAN), answer(2, 2.0)])
    assert [record.bytes is None for record in tap.tap.update_records(2)] == [True, False]


def test_a_round_without_victims_records_nothing() -> None:
    tap = Tap(0, 1)
    tap.ask(1)
    tap.tap.aggregate_train(1, [answer(0, 0.0), answer(1, 1.0)])
    assert (tap.recorded, tap.tap.update_records(1)) == ([], ())
    assert len(tap.server.received) == 2


def test_one_client_is_sent_a_crafted_model() -> None:
    """The others, and the record that all messages share, keep the honest one."""
    seen: list[tuple[int, int, list[float]]] = []

    def craft(number: int, client: int, state: NamedTensors) -> dict[str, Tensor] | None:
        seen.append((number, client, state["w"].tolist()))
        return {"w": state["w"] * 10} if client == 1 else None

    tap = Tap(0, 1, 2, craft=craft)
    messages = tap.ask()
    assert seen == [(2, client, [1.0, 2.0]) for client in (0, 1, 2)]
    assert [model_of(message)["w"].tolist() for message in messages] == [[1.0, 2.0], [10.0, 20.0], [1.0, 2.0]]
    assert {key: state["w"].tolist() for key, state in tap.sent.items()} == {(2, 1): [10.0, 20.0]}
    assert [instruction_of(message).round for message in messages] == [2, 2, 2]


def test_without_crafting_messages_are_the_servers_own() -> None:
    tap = Tap(0, 1)
    messages = tap.ask()
    assert [message.content["arrays"] for message in messages] == [messages[0].content["arrays"]] * 2
    assert not tap.sent


def test_clients_are_not_asked_to_evaluate() -> None:
    tap = Tap(0)
    assert list(tap.tap.configure_evaluate(1, ArrayRecord(), ConfigRecord(), grid())) == []
    assert tap.tap.aggregate_evaluate(1, []) is None
