"""Real Flower messages by hand: what a server sends, and what clients answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from torch import Tensor

from fedleak.client.local_training import LocalTraining
from fedleak.federation.serial_grid import FIRST_NODE, SerialGrid
from fedleak.federation.wire import Instruction, Reply, broadcast
from fedleak.models.mlp import Mlp
from fedleak.scenario.schema import ClientSettings
from fedleak.tasks.classification import Classification

NODES = {client: FIRST_NODE + client for client in range(4)}
"""Partition id -> node id."""
CLIENTS = {node: client for client, node in NODES.items()}
"""Node id -> partition id."""


def grid(app: ClientApp | None = None, nodes: int = len(NODES)) -> SerialGrid:
    """A grid; messages can be made once there is one."""
    return SerialGrid(app or ClientApp(), nodes)


def instruction(**changes: Any) -> Instruction:
    """What clients of 2x2 images of two classes are told, unless changed."""
    settings: dict[str, Any] = {
        "key": "3",
        "round": 1,
        "model": Mlp(hidden=()),
        "task": Classification(),
        "input_shape": (1, 2, 2),
        "classes": 2,
        "mean": (0.5,),
        "std": (0.5,),
        "client": ClientSettings(),
        "data": "data",
        "timeout": 5.0,
    }
    return Instruction(**(settings | changes))


def training(told: Instruction) -> LocalTraining:
    """What a client that is told so does."""
    return told.client.training(told.task)


def request(client: int, model: Mapping[str, Tensor] | None = None, told: Instruction | None = None) -> Message:
    """What ``client`` is sent for training."""
    grid()
    arrays = ArrayRecord(torch_state_dict=dict(model or {"w": torch.zeros(2)}))
    content = broadcast(arrays, told or instruction())
    return Message(content, dst_node_id=NODES[client], message_type=MessageType.TRAIN)


def answer(client: int, *values: float, samples: int | None = 1, **more: Any) -> Message:
    """A reply with the update ``{"w": values}``."""
    update = {"w": torch.tensor(values)}
    return Message(Reply(update, samples=samples, loss=0.5, **more).content(), reply_to=request(client))


def failed(client: int, reason: str) -> Message:
    """An error instead of an answer."""
    return Message(Error(code=2, reason=reason), reply_to=request(client))


class Recorder(Strategy):
    """An honest server that remembers what reaches it, and sends the model as it is to the clients it is told.

    Attributes:
        received: the replies of the last round.
    """

    def __init__(self, clients: Iterable[int]) -> None:
        self._clients = list(clients)
        self.received: list[Message] = []

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        content = broadcast(arrays, instruction(round=server_round))
        return [
            Message(RecordDict(dict(content)), dst_node_id=NODES[client], message_type=MessageType.TRAIN)
            for client in self._clients
        ]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        self.received = list(replies)
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        return None

    def summary(self) -> None:
        """Nothing to say."""
