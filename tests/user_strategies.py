"""Strategies as users write them, named by import path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAdam, FedAvg, FedMedian, Strategy


def median() -> Strategy:
    return FedMedian()


def adam() -> Strategy:
    return FedAdam(eta=0.5)


def waiting() -> Strategy:
    return FedAvg(min_available_nodes=9)


def no_strategy() -> Any:
    return 3


def failing() -> Strategy:
    raise LookupError("no such strategy")


class Middle(FedAvg):
    """Half of the way to the mean; remembers what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[dict[str, Any]] = []

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        self.sent.append({name: array.numpy() for name, array in arrays.items()})
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        mean, metrics = super().aggregate_train(server_round, replies)
        assert mean is not None
        middle = {name: (self.sent[-1][name] + array.numpy()) / 2 for name, array in mean.items()}
        return ArrayRecord({name: Array(np.asarray(value)) for name, value in middle.items()}), metrics


def middle() -> Strategy:
    return Middle()


class Broken(FedAvg):
    """Gives what its attribute says instead of weights."""

    def __init__(self, gives: Any) -> None:
        super().__init__()
        self._gives = gives

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        if isinstance(self._gives, Exception):
            raise self._gives
        return self._gives, None
