"""The honest server: Flower's FedAvg over updates instead of weights, with sampling of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from fedleak.federation.client import BUFFER_PREFIX, STATISTICS_PREFIX
from fedleak.server.aggregation.base import State


class UpdateAveraging(FedAvg):
    """Weighted mean of gradients or deltas, applied to the global model.

    Args:
        nodes: partition id -> Flower node id.
        versions: round -> partition ids that take part, each with the model version that it computes on.
        load: version -> the global model.
        task: (round, partition id) -> JSON of the client's task.
        step: factor of the mean update: minus the learning rate for gradients, plus it for deltas.
        mean: how replies become one; weighted by their images unless given.

    Attributes:
        memory: what the server keeps from round to round beside the model; a mean keeps nothing.
    """

    memory: State = {}

    def __init__(
        self,
        *,
        nodes: Mapping[int, int],
        versions: Callable[[int], Mapping[int, int]],
        load: Callable[[int], State],
        task: Callable[[int, int], str],
        step: float,
        mean: FedAvg | None = None,
    ) -> None:
        super().__init__(min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1)
        self._nodes, self._versions, self._load, self._task, self._step = nodes, versions, load, task, step
        self._mean = mean or FedAvg()
        self._states: dict[int, State] = {}

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """One message for each sampled client; those of one model version share its record."""
        current = server_round - 1
        self._states, records = {current: arrays.to_torch_state_dict()}, {current: arrays}
        messages = []
        for client, version in self._versions(server_round).items():
            if version not in records:
                self._states[version] = self._load(version)
                records[version] = ArrayRecord(torch_state_dict=dict(self._states[version]))
            task = ConfigRecord({"task": self._task(server_round, client)})
            content = RecordDict({"arrays": records[version], "config": task})
            messages.append(Message(content, dst_node_id=self._nodes[client], message_type=MessageType.TRAIN))
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The new global model."""
        mean, metrics = self._mean.aggregate_train(server_round, replies)
        if mean is None:
            return None, metrics
        new = dict(self._states[server_round - 1])
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
