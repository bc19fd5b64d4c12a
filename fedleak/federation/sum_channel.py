"""The adversary's tap under secure aggregation: it sees the mean over a round's clients, not single updates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid

from fedleak.federation.channel import ChannelTap, Delivery
from fedleak.federation.secure_aggregation import SecureSum
from fedleak.federation.wire import Reply
from fedleak.transcript.manifest import UpdateRecord


class SumTap(ChannelTap):
    """Records a round's sum instead of updates; the server continues as if one client had sent the sum."""

    _first: Message
    _sum: SecureSum

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Pass the server's messages on and remember the addressed clients."""
        messages = list(super().configure_train(server_round, arrays, config, grid))
        self._first = messages[0]
        return messages

    def aggregate_sum(
        self, server_round: int, secure: SecureSum, *, names: Sequence[str]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Record the sum if the plan says so, and pass it to the server.

        Args:
            secure: the result of the protocol.
            names: names of its arrays.
        """
        self._sum = secure
        included = {self._clients[node] for node in secure.nodes}
        reasons = {self._clients[node]: reason for node, reason in secure.failures.items()}
        lost = {self._clients[node] for node in secure.lost}
        self.deliveries = [
            Delivery(client, "ok")
            if client in included
            else Delivery(client, "failed", reasons[client], lost=client in lost)
            for client in sorted(self._asked)
        ]
        reply = Reply(dict(zip(names, secure.arrays, strict=True)), samples=secure.samples, clients=len(secure.nodes))
        for update in list(self._expected(server_round))[:1]:
            self._record(update, reply)
        return self._inner.aggregate_train(server_round, [Message(reply.content(), reply_to=self._first)])

    def update_records(self, server_round: int) -> tuple[UpdateRecord, ...]:
        """The single transcript entry of the last aggregated round; empty if the round is not to be recorded."""
        included = tuple(sorted(self._clients[node] for node in self._sum.nodes))
        return tuple(
            UpdateRecord(
                row=update.row,
                round=server_round,
                client=included[0],
                summed=included,
                model_version=update.version,
                samples=self._sum.samples,
                bytes=self._sum.bytes,
                status="ok",
            )
            for update in list(self._expected(server_round))[:1]
        )
