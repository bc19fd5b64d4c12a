"""The asynchronous server: aggregates late updates by the scenario's aggregation rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from flwr.app import ArrayRecord, Message, MetricRecord

from fedleak.federation.strategy import UpdateAveraging
from fedleak.federation.wire import Reply
from fedleak.server.aggregation.base import Aggregation, Arrival
from fedleak.tensors import NamedTensors


class AsynchronousServer(UpdateAveraging):
    """Aggregates by a rule of ``fedleak.server.aggregation`` instead of the mean.

    Args:
        rule: the rule.
        memory: state of the rule after the last round; updated by every aggregation.
        settings: as ``UpdateAveraging``.
    """

    def __init__(self, rule: Aggregation, *, memory: NamedTensors, **settings: Any) -> None:
        super().__init__(**settings)
        self._rule, self.memory = rule, memory

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The new global model."""
        current, versions = server_round - 1, self._versions(server_round)
        clients = {node: client for client, node in self._nodes.items()}
        arrivals = [self._arrival(reply, versions[clients[reply.metadata.src_node_id]]) for reply in replies]
        model, self.memory = self._rule.aggregate(self._states[current], arrivals, self.memory, version=current)
        return ArrayRecord(torch_state_dict=dict(model)), None

    def _arrival(self, reply: Message, version: int) -> Arrival:
        origin = self._states[version]
        answer = Reply.of(reply)
        change = {name: self._step * value for name, value in answer.update.items()}
        for name, buffer in answer.buffers.items():
            change[name] = (buffer - origin[name]).to(torch.float32)
        return Arrival(change, origin, answer.samples or 0, version)
