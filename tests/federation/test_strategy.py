"""The honest server's mean and step, in numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType
from flwr.serverapp.exception import InconsistentMessageReplies
from torch import Tensor

from fedleak.federation.strategy import UpdateAveraging
from fedleak.federation.wire import instruction_of, model_of
from tests.federation.messages import NODES, answer, failed, grid, instruction

MODEL = {"w": torch.tensor([1.0, 2.0])}


def server(versions: dict[int, dict[int, int]] | None = None, **changes: Any) -> UpdateAveraging:
    """With the learning rate 0.5 on gradients; ``load`` gives the version's number as the model."""
    settings: dict[str, Any] = {
        "nodes": NODES,
        "versions": lambda number: (versions or {number: {0: number - 1, 1: number - 1}})[number],
        "load": lambda version: {"w": torch.full((2,), 10.0 + version)},
        "instruct": lambda number, client: instruction(round=number, first_pair=client),
        "step": -0.5,
    }
    return UpdateAveraging(**(settings | changes))


def begun(number: int = 1, model: dict[str, Tensor] | None = None, **changes: Any) -> UpdateAveraging:
    """A server that has sent ``model`` out."""
    strategy = server(**changes)
    strategy.configure_train(number, ArrayRecord(torch_state_dict=model or MODEL), ConfigRecord(), grid())
    return strategy


def aggregated(strategy: UpdateAveraging, number: int, *replies: Message) -> dict[str, Tensor]:
    """The new model."""
    arrays, _ = strategy.aggregate_train(number, replies)
    assert arrays is not None
    return arrays.to_torch_state_dict()


def test_each_client_is_sent_its_version_and_its_instruction() -> None:
    strategy = server({3: {2: 2, 0: 1, 3: 2}})
    messages = list(strategy.configure_train(3, ArrayRecord(torch_state_dict=MODEL), ConfigRecord(), grid()))
    assert [message.metadata.dst_node_id for message in messages] == [NODES[2], NODES[0], NODES[3]]
    assert {message.metadata.message_type for message in messages} == {MessageType.TRAIN}
    assert [model_of(message)["w"].tolist() for message in messages] == [[1.0, 2.0], [11.0, 11.0], [1.0, 2.0]]
    assert [(instruction_of(m).round, instruction_of(m).first_pair) for m in messages] == [(3, 2), (3, 0), (3, 3)]
    assert messages[0].content["arrays"] is messages[2].content["arrays"], "one version, one record"


def test_the_mean_is_weighted_by_images() -> None:
    """(1 [4, 0] + 3 [0, 8]) / 4 = [1, 6]; the model goes half a step against it."""
    new = aggregated(begun(), 1, answer(0, 4.0, 0.0, samples=1), answer(1, 0.0, 8.0, samples=3))
    assert new["w"].tolist() == [0.5, -1.0]
    assert new["w"].dtype == torch.float32


def test_weight_deltas_are_added() -> None:
    new = aggregated(begun(step=1.0), 1, answer(0, 4.0, 0.0, samples=1), answer(1, 0.0, 8.0, samples=3))
    assert new["w"].tolist() == [2.0, 8.0]


def test_the_step_starts_at_the_current_model_whatever_version_was_answered() -> None:
    strategy = begun(2, versions={2: {0: 0}})
    assert aggregated(strategy, 2, answer(0, 1.0, 1.0))["w"].tolist() == [0.5, 1.5]


def test_error_replies_do_not_count() -> None:
    new = aggregated(begun(), 1, failed(0, "RuntimeError: no"), answer(1, 2.0, 2.0, samples=3))
    assert new["w"].tolist() == [0.0, 1.0]


def test_without_replies_there_is_no_new_model() -> None:
    assert begun().aggregate_train(1, [failed(0, "RuntimeError: no")])[0] is None


def test_buffers_are_replaced_by_their_mean_and_whole_numbers_rounded() -> None:
    """Means: (1 * 2 + 3 * 4) / 4 = 3.5 images seen, rounded to the even 4; (1 * 0 + 3 * 1) / 4 = 0.75."""
    model = MODEL | {"seen": torch.tensor(1), "running": torch.tensor([9.0])}
    replies = [
        answer(client, 0.0, 0.0, samples=n, buffers={"seen": torch.tensor(seen), "running": torch.tensor([running])})
        for client, n, seen, running in ((0, 1, 2, 0.0), (1, 3, 4, 1.0))
    ]
    new = aggregated(begun(model=model), 1, *replies)
    assert (new["seen"].item(), new["seen"].dtype, new["seen"].shape) == (4, torch.int64, ())
    assert (new["running"].tolist(), new["running"].dtype) == ([0.75], torch.float32)
    assert new["w"].tolist() == [1.0, 2.0]


def test_batch_statistics_are_left_out_of_training() -> None:
    told = [answer(client, 2.0, 0.0, statistics={"layer.mean": torch.ones(3)}) for client in (0, 1)]
    new = aggregated(begun(), 1, *told)
    assert {name: tensor.tolist() for name, tensor in new.items()} == {"w": [0.0, 2.0]}


def test_what_nobody_shares_stays() -> None:
    new = aggregated(begun(model=MODEL | {"running": torch.tensor([9.0])}), 1, answer(0, 2.0, 0.0))
    assert (list(new), new["running"].tolist()) == (["w", "running"], [9.0])


def test_a_mean_keeps_nothing_in_mind() -> None:
    strategy = begun()
    aggregated(strategy, 1, answer(0, 1.0, 1.0))
    assert strategy.memory == {}


def test_a_reply_of_other_arrays_is_an_error() -> None:
    other = answer(1, 0.0, 8.0, buffers={"seen": torch.tensor(1)})
    with pytest.raises(InconsistentMessageReplies):
        begun().aggregate_train(1, [answer(0, 4.0, 0.0), other])
