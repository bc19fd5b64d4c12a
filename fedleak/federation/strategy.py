"""The honest server: Flower's FedAvg over updates instead of weights, with planned client sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from fedleak.federation.wire import Instruction, broadcast, record_of, split
from fedleak.tensors import NamedTensors


class UpdateAveraging(FedAvg):
    """Weighted mean of gradients or deltas, applied to the global model.

    Args:
        nodes: partition id -> Flower node id.
        versions: round -> participating partition ids, each with the model version that it computes on.
        load: version -> the global model.
        instruct: (round, partition id) -> instruction for the client.
        step: factor of the mean update: minus the learning rate for gradients, plus the learning rate for deltas.
        mean: strategy that averages the replies (default: mean weighted by number of images).

    Attributes:
        memory: server state kept between rounds besides the model; empty for a mean.
    """

    memory: NamedTensors = {}

    def __init__(
        self,
        *,
        nodes: Mapping[int, int],
        versions: Callable[[int], Mapping[int, int]],
        load: Callable[[int], NamedTensors],
        instruct: Callable[[int, int], Instruction],
        step: float,
        mean: FedAvg | None = None,
    ) -> None:
        super().__init__(min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1)
        self._nodes, self._versions, self._load, self._instruct, self._step = nodes, versions, load, instruct, step
        self._mean = mean or FedAvg()
        self._states: dict[int, NamedTensors] = {}

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """One message for each sampled client; messages with the same model version share its record."""
        current = server_round - 1
        self._states, records = {current: arrays.to_torch_state_dict()}, {current: arrays}
        messages = []
        for client, version in self._versions(server_round).items():
            if version not in records:
                self._states[version] = self._load(version)
                records[version] = record_of(self._states[version])
            content = broadcast(records[version], self._instruct(server_round, client))
            messages.append(Message(content, dst_node_id=self._nodes[client], message_type=MessageType.TRAIN))
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The new global model."""
        answered = list(replies)
        mean, metrics = self._mean.aggregate_train(server_round, answered)
        if mean is None:
            return None, metrics
        new = dict(self._states[server_round - 1])
        update, buffers, _ = split(mean)
        new |= self._stepped(server_round, update, answered)
        for name, value in buffers.items():
            kept = new[name]
            new[name] = value.to(kept.dtype) if kept.is_floating_point() else value.round().to(kept.dtype)
        return ArrayRecord(torch_state_dict=new), metrics

    def _stepped(self, server_round: int, mean: NamedTensors, replies: Sequence[Message]) -> NamedTensors:
        """The new parameters, from the mean update or, in a subclass, from the replies behind it."""
        model = self._states[server_round - 1]
        return {name: (model[name] + self._step * value).to(model[name].dtype) for name, value in mean.items()}
