"""Noise on the mean: of the stated size, the same for the same seed and round, and gone from the global stream."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flwr.app import Message

from fedleak.client.client_level_dp import ClientLevelDp
from fedleak.federation.noisy_mean import NoisyMean
from fedleak.federation.wire import Reply
from tests.federation.messages import answer, request

VALUES = 20000


def zeros(client: int, *, clients: int = 1) -> Message:
    """An update of zeros."""
    reply = Reply({"w": torch.zeros(VALUES)}, samples=2, loss=0.0, clients=clients)
    return Message(reply.content(), reply_to=request(client))


def mean(sigma: float, replies: list[Message], *, key: str = "0", number: int = 1) -> torch.Tensor:
    """The mean under noise of ``sigma`` times the bound 0.5."""
    settings = ClientLevelDp(max_norm=0.5, noise_multiplier=sigma)
    arrays, _ = NoisyMean(settings, key=key).aggregate_train(number, replies)
    assert arrays is not None
    return arrays.to_torch_state_dict()["w"]


def test_without_noise_it_is_the_weighted_mean() -> None:
    replies = [answer(0, 4.0, 0.0, samples=1), answer(1, 0.0, 8.0, samples=3)]
    assert mean(0.0, replies).tolist() == [1.0, 6.0]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_noise_falls_with_the_clients_that_have_replied(count: int) -> None:
    noise = mean(3.0, [zeros(client) for client in range(count)])
    assert float(noise.std()) == pytest.approx(3.0 * 0.5 / count, rel=0.03)
    assert abs(float(noise.mean())) < 0.05


def test_a_sum_counts_for_the_clients_in_it() -> None:
    assert float(mean(3.0, [zeros(0, clients=4)]).std()) == pytest.approx(3.0 * 0.5 / 4, rel=0.03)


def test_noise_depends_on_key_and_round_alone() -> None:
    first = mean(1.0, [zeros(0)], key="1", number=2)
    assert torch.equal(first, mean(1.0, [zeros(0)], key="1", number=2))
    assert not torch.equal(first, mean(1.0, [zeros(0)], key="2", number=2))
    assert not torch.equal(first, mean(1.0, [zeros(0)], key="1", number=3))


def test_the_global_generator_is_left_as_it_was() -> None:
    before = np.random.get_state()  # noqa: NPY002
    mean(1.0, [zeros(0)])
    after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
