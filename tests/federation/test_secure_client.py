"""A client behind secure aggregation, under Flower's own protocol; sums against weighted means by hand."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.app.user_config import UserConfig
from flwr.clientapp import ClientApp

from fedleak.federation.secure_aggregation import SecureSum, aggregate_securely
from fedleak.federation.secure_client import secure_aggregation_mod
from fedleak.federation.serial_grid import SerialGrid
from fedleak.federation.wire import Reply
from fedleak.server.secure_aggregation import SecureAggregation
from tests.federation.messages import NODES, answer, request

SETTINGS = SecureAggregation(num_shares=3, reconstruction_threshold=2, clipping_range=4.0)
STEP = 8.0 / 2**22
"""Between two of the numbers to which a value is rounded."""


def total(values: Mapping[int, tuple[int, list[float]]]) -> SecureSum:
    """The sum over three clients that answer ``samples, values``."""
    own = ClientApp()

    @own.train(mods=[secure_aggregation_mod])
    def train(message: Message, context: Context) -> Message:
        samples, update = values[int(context.node_config["partition-id"])]
        reply = Reply({"w": torch.tensor(update), "b": torch.tensor([[0.5]])}, samples=samples, loss=1.0)
        return Message(reply.content(), reply_to=message)

    grid = SerialGrid(own, len(values))
    return aggregate_securely(
        grid,
        [request(client) for client in values],
        SETTINGS,
        round_number=1,
        most_images=max(samples for samples, _ in values.values()),
        key="0",
        timeout=5,
        stop=threading.Event(),
    )


def test_the_sum_is_the_mean_weighted_by_images() -> None:
    """(1 [1, 0] + 2 [0, 2] + 1 [-3, 0]) / 4 = [-0.5, 1]; weights are rounded, too."""
    found = total({0: (1, [1.0, 0.0]), 1: (2, [0.0, 2.0]), 2: (1, [-3.0, 0.0])})
    assert found.samples == 4
    assert found.nodes == {NODES[client] for client in range(3)}
    torch.testing.assert_close(found.arrays[0], torch.tensor([-0.5, 1.0]), rtol=0, atol=4 * STEP)
    torch.testing.assert_close(found.arrays[1], torch.tensor([[0.5]]), rtol=0, atol=4 * STEP)
    assert (found.failures, found.lost) == ({}, frozenset())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_update_that_is_not_finite_is_refused_by_its_own_client(bad: float) -> None:
    """The others open its masks, and their mean remains: ([1, 0] + [-3, 0]) / 2."""
    found = total({0: (1, [1.0, 0.0]), 1: (1, [0.0, bad]), 2: (1, [-3.0, 0.0])})
    assert found.failures == {NODES[1]: "ValueError: the update holds NaN or infinite values"}
    assert found.nodes == {NODES[0], NODES[2]}
    torch.testing.assert_close(found.arrays[0], torch.tensor([-1.0, 0.0]), rtol=0, atol=4 * STEP)


def test_rounding_follows_the_key_of_the_instruction() -> None:
    values = {client: (client + 1, [0.1 * client, 1 / 3]) for client in range(3)}
    first, again = total(values), total(values)
    assert all(torch.equal(a, b) for a, b in zip(first.arrays, again.arrays, strict=True))


def test_global_generators_are_left_as_they_were() -> None:
    before = random.getstate(), np.random.get_state()[1].copy()  # type: ignore[union-attr,index] # noqa: NPY002
    total({client: (1, [0.0]) for client in range(3)})
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])  # type: ignore[index] # noqa: NPY002


def test_without_secure_aggregation_the_reply_passes() -> None:
    message, reply = request(0), answer(0, 1.0)
    context = Context(1, NODES[0], UserConfig({"partition-id": 0}), RecordDict(), UserConfig())
    assert secure_aggregation_mod(message, context, lambda m, c: reply) is reply
    other = Message(RecordDict({"config": ConfigRecord()}), NODES[0], MessageType.TRAIN)
    assert secure_aggregation_mod(other, context, lambda m, c: reply) is reply
