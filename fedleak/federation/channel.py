"""The adversary's tap: a strategy around the honest one that sees every reply first and records the victims'."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from fedleak.client.postprocess.encoding.update import encode_update
from fedleak.errors import FederationError
from fedleak.federation.client import STATISTICS_PREFIX
from fedleak.federation.failures import WorkerLostError, client_failure, is_lost_worker
from fedleak.federation.plan import PlannedUpdate
from fedleak.transcript.manifest import Status, UpdateRecord

RecordUpdate = Callable[[PlannedUpdate, Mapping[str, torch.Tensor]], None]


@dataclass(frozen=True)
class Delivery:
    """What became of one client's update in a round."""

    client: int
    status: Status
    reason: str = ""
    samples: int | None = None
    lost: bool = False
    """The engine lost the worker, or never heard from it again."""


class ChannelTap(Strategy):
    """Wraps the server's strategy and stays outermost.

    Args:
        inner: the honest server's strategy.
        clients: Flower node id -> partition id.
        planned: round -> updates to record.
        record: stores one victim's update.
    """

    def __init__(
        self,
        inner: Strategy,
        *,
        clients: Mapping[int, int],
        planned: Callable[[int], Iterable[PlannedUpdate]],
        record: RecordUpdate,
    ) -> None:
        self._inner, self._clients, self._planned, self._record = inner, clients, planned, record
        self._expected: list[int] = []
        self._bytes: dict[int, int] = {}
        self.deliveries: list[Delivery] = []

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Pass the server's messages on and remember who was asked."""
        messages = list(self._inner.configure_train(server_round, arrays, config, grid))
        self._expected = [self._clients[message.metadata.dst_node_id] for message in messages]
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Record, drop what is unusable, and hand the rest to the server in the order of the partitions.

        Raises:
            WorkerLostError: if no reply is usable and a worker is gone.
            FederationError: if no reply is usable.
        """
        by_client = {self._clients[reply.metadata.src_node_id]: reply for reply in replies}
        self.deliveries = [_inspect(client, by_client.get(client)) for client in sorted(self._expected)]
        usable = [by_client[d.client] for d in self.deliveries if d.status == "ok"]
        if not usable:
            reasons = "; ".join(sorted({f"client {d.client}: {d.reason}" for d in self.deliveries})[:5])
            kind = WorkerLostError if any(d.lost for d in self.deliveries) else FederationError
            raise kind(f"round {server_round}: no client delivered a usable update ({reasons})")
        ok = {d.client for d in self.deliveries if d.status == "ok"}
        self._bytes = {}
        for update in self._planned(server_round):
            if update.client in ok:
                stacked = by_client[update.client].content.array_records["arrays"].to_torch_state_dict()
                tensors = {name: tensor[0] for name, tensor in stacked.items()}
                sent = {name: tensor for name, tensor in tensors.items() if not name.startswith(STATISTICS_PREFIX)}
                self._bytes[update.client] = len(encode_update(sent))
                self._record(update, tensors)
        return self._inner.aggregate_train(server_round, usable)

    def update_records(self, server_round: int) -> tuple[UpdateRecord, ...]:
        """The transcript's entries for the round that was aggregated last."""
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
            for update in self._planned(server_round)
        )

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Evaluation is the server's own; clients are not asked."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Nothing to aggregate."""
        return None

    def summary(self) -> None:
        """Log the inner strategy's summary."""
        self._inner.summary()


def _inspect(client: int, reply: Message | None) -> Delivery:
    if reply is None:
        return Delivery(client, "missing", "no reply in time", lost=True)
    if reply.has_error():
        reason = reply.error.reason or "unknown error"
        return Delivery(client, "failed", client_failure(reason), lost=is_lost_worker(reason))
    samples = int(cast(int, reply.content.metric_records["metrics"]["num-examples"]))
    tensors = reply.content.array_records["arrays"].to_torch_state_dict().values()
    if not all(torch.isfinite(tensor).all() for tensor in tensors if tensor.is_floating_point()):
        return Delivery(client, "non_finite", "the update holds NaN or infinite values", samples)
    return Delivery(client, "ok", samples=samples)
