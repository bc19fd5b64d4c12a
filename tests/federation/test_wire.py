"""Messages: what is put into one comes out of it, under the names that others read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from pydantic import ValidationError

from fedleak.examples import Normalisation
from fedleak.federation import wire
from fedleak.federation.wire import INJECT, Reply, split
from fedleak.tasks.regression import Regression
from tests.federation.messages import NODES, grid, instruction, request


def sent(reply: Reply) -> Message:
    """A message that carries the reply."""
    return Message(reply.content(), reply_to=request(0))


def test_an_instruction_comes_back_as_it_was() -> None:
    told = instruction(round=7, gpu=True, first_pair=3, fault="nan", data="folder")
    message = request(1, told=told)
    assert wire.has_instruction(message)
    assert wire.instruction_of(message) == told


def test_messages_of_other_protocols_have_no_instruction() -> None:
    grid()
    assert not wire.has_instruction(Message(RecordDict({"other": ConfigRecord()}), NODES[0], "train"))


def test_what_an_instruction_says_of_images_and_outputs() -> None:
    told = instruction(mean=(0.1, 0.2), std=(0.3, 0.4), classes=7, task=Regression())
    assert told.normalisation == Normalisation((0.1, 0.2), (0.3, 0.4))
    assert (told.outputs, instruction(classes=7).outputs) == (1, 7)


def test_a_client_without_a_thread_is_refused() -> None:
    with pytest.raises(ValidationError, match="threads"):
        instruction(threads=0)


def test_a_broadcast_carries_the_model() -> None:
    state = {"w": torch.tensor([1.0, 2.0]), "seen": torch.tensor(3)}
    found = wire.model_of(request(0, state))
    assert {name: (tensor.tolist(), tensor.dtype) for name, tensor in found.items()} == {
        "w": ([1.0, 2.0], torch.float32),
        "seen": (3, torch.int64),
    }


def test_injected_batches_come_back_as_they_were() -> None:
    grid()
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 1, 2, 2)
    labels = np.array([[0, 1, 0], [1, 1, 0]])
    content = wire.inject(ArrayRecord(torch_state_dict={"w": torch.ones(1)}), instruction(), images, labels)
    message = Message(content, NODES[0], INJECT)
    for found, expected in zip(wire.injected_batches(message), (images, labels), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    assert wire.instruction_of(message) == instruction()


def test_another_model_leaves_the_shared_content_alone() -> None:
    message = request(0, {"w": torch.zeros(2)})
    other = wire.with_model(message.content, {"w": torch.ones(2)})
    assert wire.model_of(message)["w"].tolist() == [0.0, 0.0]
    assert wire.model_of(Message(other, NODES[0], "train"))["w"].tolist() == [1.0, 1.0]
    assert other["config"] == message.content["config"]


def test_a_full_reply_comes_back_as_it_was() -> None:
    reply = Reply(
        {"w": torch.tensor([1.0, -2.0])},
        {"running_mean": torch.tensor([0.5]), "seen": torch.tensor(4)},
        {"layer.mean": torch.tensor([0.1])},
        samples=3,
        loss=0.25,
        clients=2,
    )
    found = Reply.of(sent(reply))
    assert (found.samples, found.loss, found.clients) == (3, 0.25, 2)
    for part in ("update", "buffers", "statistics"):
        own, expected = getattr(found, part), getattr(reply, part)
        assert list(own) == list(expected)
        assert all(torch.equal(own[name], tensor) for name, tensor in expected.items())


def test_a_bare_reply_says_nothing_of_images_and_counts_for_one_client() -> None:
    content = Reply({"w": torch.zeros(5, 2)}).content()
    assert list(content) == ["arrays"]
    found = Reply.of(sent(Reply({"w": torch.zeros(5, 2)})))
    assert (found.samples, found.loss, found.clients, found.buffers, found.statistics) == (None, None, 1, {}, {})
    assert found.update["w"].shape == (5, 2)


def test_no_images_are_not_an_unknown_number() -> None:
    assert Reply.of(sent(Reply({"w": torch.zeros(1)}, samples=0, loss=0.0))).samples == 0


def test_shared_is_update_and_buffers_without_statistics() -> None:
    reply = Reply({"w": torch.zeros(1)}, {"seen": torch.tensor(4)}, {"layer.mean": torch.zeros(1)})
    assert list(reply.shared) == ["w", "buffers/seen"]


def test_arrays_are_split_by_their_prefixes() -> None:
    names = ["buffers/seen", "w", "batch-statistics/layer.mean", "buffersize"]
    arrays = ArrayRecord(torch_state_dict={name: torch.tensor([float(i)]) for i, name in enumerate(names)})
    update, buffers, statistics = split(arrays)
    assert (list(update), list(buffers), list(statistics)) == (["w", "buffersize"], ["seen"], ["layer.mean"])
    assert (float(update["w"]), float(buffers["seen"]), float(statistics["layer.mean"])) == (1.0, 0.0, 2.0)
