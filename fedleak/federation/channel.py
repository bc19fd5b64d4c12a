"""The adversary's tap: a strategy that wraps the honest one, sees every reply first and records the victims'."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from fedleak.client.postprocess.encoding.update import encode_update
from fedleak.errors import FederationError
from fedleak.federation.failures import WorkerLostError, client_failure, is_lost_worker
from fedleak.federation.wire import Reply, model_of, with_model
from fedleak.tensors import NamedTensors
from fedleak.transcript.manifest import Status, UpdateRecord


@dataclass(frozen=True)
class ExpectedUpdate:
    """One update to be recorded: its transcript row, round, client and model version."""

    row: int
    round: int
    client: int
    version: int


LONGEST_REASON = 300
RecordUpdate = Callable[[ExpectedUpdate, Reply], None]
Craft = Callable[[int, int, NamedTensors], NamedTensors | None]
"""(round, client, broadcast model) -> the model sent to the client instead; None to leave it unchanged."""

Objection = Callable[[int, Message, Reply], str]


@dataclass(frozen=True)
class Delivery:
    """Outcome of one client's update in a round."""

    client: int
    status: Status
    reason: str = ""
    samples: int | None = None
    lost: bool = False
    """Whether the worker died or never replied."""


class ChannelTap(Strategy):
    """Strategy that wraps the server's own; always the outermost one.

    Args:
        inner: the honest server's strategy.
        clients: Flower node id -> partition id.
        expected: round -> updates to record.
        record: stores one victim's update.
        craft: changes the model sent to a client.
        record_sent: stores the model that a client got instead of the broadcast one: (round, client, model).
        objection: (client, reply message, its content) -> why the reply is malformed; empty if it is not.
    """

    def __init__(
        self,
        inner: Strategy,
        *,
        clients: Mapping[int, int],
        expected: Callable[[int], Iterable[ExpectedUpdate]],
        record: RecordUpdate,
        craft: Craft | None = None,
        record_sent: Callable[[int, int, NamedTensors], None] | None = None,
        objection: Objection | None = None,
    ) -> None:
        self._inner, self._clients, self._expected, self._record = inner, clients, expected, record
        self._craft, self._record_sent, self._objection = craft, record_sent, objection
        self._asked: list[int] = []
        self._bytes: dict[int, int] = {}
        self.deliveries: list[Delivery] = []

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Pass the server's messages on, with crafted models if there are any, and remember the addressed clients."""
        messages = list(self._inner.configure_train(server_round, arrays, config, grid))
        self._asked = [self._clients[message.metadata.dst_node_id] for message in messages]
        for client, message in zip(self._asked, messages, strict=True):
            self._tamper(server_round, client, message)
        return messages

    def _tamper(self, server_round: int, client: int, message: Message) -> None:
        sent = self._craft(server_round, client, model_of(message)) if self._craft is not None else None
        if sent is None:
            return
        if self._record_sent is not None:
            self._record_sent(server_round, client, sent)
        message.content = with_model(message.content, sent)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Record the victims' updates, drop unusable replies, and pass the rest to the server in partition order.

        Raises:
            WorkerLostError: if no reply is usable and a worker died.
            FederationError: if no reply is usable.
        """
        by_client = {self._clients[reply.metadata.src_node_id]: reply for reply in replies}
        self.deliveries = [_inspect(client, by_client.get(client), self._objection) for client in sorted(self._asked)]
        usable = [by_client[d.client] for d in self.deliveries if d.status == "ok"]
        if not usable:
            reasons = "; ".join(sorted({f"client {d.client}: {d.reason}" for d in self.deliveries})[:5])
            kind = WorkerLostError if any(d.lost for d in self.deliveries) else FederationError
            raise kind(f"round {server_round}: no client delivered a usable update ({reasons})")
        ok = {d.client for d in self.deliveries if d.status == "ok"}
        self._bytes = {}
        for update in self._expected(server_round):
            if update.client in ok:
                reply = Reply.of(by_client[update.client])
                self._bytes[update.client] = len(encode_update(reply.shared))
                self._record(update, reply)
        return self._inner.aggregate_train(server_round, usable)

    def update_records(self, server_round: int) -> tuple[UpdateRecord, ...]:
        """Transcript entries of the last aggregated round."""
        by_client = {delivery.client: delivery for delivery in self.deliveries}
        return tuple(
            UpdateRecord(
                row=update.row,
                round=server_round,
                client=update.client,
                model_version=update.version,
                samples=by_client[update.client].samples,
                bytes=self._bytes.get(update.client),
                status=by_client[update.client].status,
                reason=by_client[update.client].reason,
            )
            for update in self._expected(server_round)
        )

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """No messages: the server evaluates, not the clients."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Nothing to aggregate."""
        return None

    def summary(self) -> None:
        """Log the inner strategy's summary."""
        self._inner.summary()


def _inspect(client: int, reply: Message | None, objection: Objection | None) -> Delivery:
    if reply is None:
        return Delivery(client, "missing", "no reply in time", lost=True)
    if reply.has_error():
        reason = reply.error.reason or "unknown error"
        return Delivery(client, "failed", client_failure(reason), lost=is_lost_worker(reason))
    try:
        answer = Reply.of(reply)
    except Exception as error:  # the reply is whatever the client has sent
        return Delivery(client, "failed", f"malformed reply: {type(error).__name__}: {error}"[:LONGEST_REASON])
    if objection is not None and (found := objection(client, reply, answer)):
        return Delivery(client, "failed", f"malformed reply: {found}"[:LONGEST_REASON])
    tensors = [*answer.shared.values(), *answer.statistics.values()]
    if not all(torch.isfinite(tensor).all() for tensor in tensors if tensor.is_floating_point()):
        return Delivery(client, "non_finite", "the update holds NaN or infinite values", answer.samples)
    return Delivery(client, "ok", samples=answer.samples)
