"""The honest server: Flower's FedAvg over updates instead of weights, with sampling of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from fedleak.federation.client import BUFFER_PREFIX, STATISTICS_PREFIX


class UpdateAveraging(FedAvg):
    """Weighted mean of gradients or deltas, applied to the global model.

    Args:
        nodes: partition id -> Flower node id.
        sample: round -> partition ids that take part, chosen by the scenario's seed.
        task: (round, partition id) -> JSON of the client's task.
        step: factor of the mean update: minus the learning rate for gradients, plus it for deltas.
        mean: how replies become one; weighted by their images unless given.
    """

    def __init__(
        self,
        *,
        nodes: Mapping[int, int],
        sample: Callable[[int], Iterable[int]],
        task: Callable[[int, int], str],
        step: float,
        mean: FedAvg | None = None,
    ) -> None:
        super().__init__(min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1)
        self._nodes, self._sample, self._task, self._step = nodes, sample, task, step
        self._mean = mean or FedAvg()
        self._state: dict[str, torch.Tensor] = {}

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """One message for each sampled client; they share the model's record."""
        self._state = arrays.to_torch_state_dict()
        messages = []
        for client in self._sample(server_round):
            task = ConfigRecord({"task": self._task(server_round, client)})
            content = RecordDict({"arrays": arrays, "config": task})
            messages.append(Message(content, dst_node_id=self._nodes[client], message_type=MessageType.TRAIN))
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The new global model."""
        mean, metrics = self._mean.aggregate_train(server_round, replies)
        if mean is None:
            return None, metrics
        new = dict(self._state)
        for name, value in mean.to_torch_state_dict().items():
            if name.startswith(STATISTICS_PREFIX):
                continue
            value = value[0]  # updates carry a leading dimension of one
            if name.startswith(BUFFER_PREFIX):
                buffer = name.removeprefix(BUFFER_PREFIX)
                kept = new[buffer]
                new[buffer] = value.to(kept.dtype) if kept.is_floating_point() else value.round().to(kept.dtype)
            else:
                new[name] = new[name] + self._step * value
        return ArrayRecord(torch_state_dict=new), metrics
