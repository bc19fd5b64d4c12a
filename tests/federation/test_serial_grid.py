"""The grid without Ray: what a client sees, what is kept, what becomes of an exception."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from fedleak.federation.client import app
from fedleak.federation.failures import client_failure
from fedleak.federation.serial_grid import FIRST_NODE, SerialGrid


def training(function: Callable[[Message, Context], Message], nodes: int = 2) -> SerialGrid:
    """A grid whose clients train so."""
    own = ClientApp()
    own.train()(function)
    return SerialGrid(own, nodes)


def echo(message: Message, context: Context) -> Message:
    """Gives the content back."""
    return Message(message.content, reply_to=message)


def messages(*clients: int, content: RecordDict | None = None) -> list[Message]:
    """One message for each client, all with the same content."""
    shared = content or RecordDict({"config": ConfigRecord({"steps": [1]})})
    return [Message(shared, FIRST_NODE + client, "train") for client in clients]


def test_nodes_are_the_partitions() -> None:
    assert list(training(echo, 3).get_node_ids()) == [1000, 1001, 1002]


def test_replies_come_from_those_who_were_asked() -> None:
    grid = training(echo)
    replies = list(grid.send_and_receive(messages(1, 0)))
    assert [reply.metadata.src_node_id for reply in replies] == [1001, 1000]


def test_a_reply_is_handed_out_once_to_who_asks_for_it() -> None:
    grid = training(echo)
    first, second = grid.push_messages(messages(0, 1))
    assert first != second
    (reply,) = grid.pull_messages([second])
    assert reply.metadata.reply_to_message_id == second
    assert list(grid.pull_messages([second, "unknown"])) == []
    assert len(list(grid.pull_messages([first]))) == 1


def test_a_message_can_be_made_by_the_grid() -> None:
    grid = training(echo)
    message = grid.create_message(RecordDict(), "train", 1001, "group")
    (reply,) = grid.send_and_receive([message])
    assert (reply.metadata.src_node_id, reply.metadata.group_id) == (1001, "group")


def test_each_client_knows_its_partition_and_keeps_its_state() -> None:
    def count(message: Message, context: Context) -> Message:
        seen = int(context.state.config_records["seen"]["times"]) if "seen" in context.state else 0  # type: ignore[arg-type]
        context.state["seen"] = ConfigRecord({"times": seen + 1})
        answer = {"times": seen + 1, **{name: context.node_config[name] for name in context.node_config}}
        return Message(RecordDict({"answer": ConfigRecord(answer)}), reply_to=message)  # type: ignore[arg-type]

    grid = training(count)
    replies = list(grid.send_and_receive(messages(0, 1, 0)))
    answers = [dict(reply.content.config_records["answer"]) for reply in replies]
    assert [(a["partition-id"], a["num-partitions"], a["times"]) for a in answers] == [(0, 2, 1), (1, 2, 1), (0, 2, 2)]


def test_a_client_cannot_change_the_settings_that_others_receive() -> None:
    seen: list[Any] = []

    def meddle(message: Message, context: Context) -> Message:
        steps: Any = message.content.config_records["config"]["steps"]
        steps.append(2)
        seen.append(list(steps))
        return Message(RecordDict(), reply_to=message)

    content = RecordDict({"config": ConfigRecord({"steps": [1]})})
    list(training(meddle).send_and_receive(messages(0, 1, content=content)))
    assert seen == [[1, 2], [1, 2]]
    assert content["config"] == ConfigRecord({"steps": [1]})


def test_arrays_are_not_copied() -> None:
    arrays = ArrayRecord(torch_state_dict={"w": torch.zeros(2)})
    (reply,) = training(echo).send_and_receive(messages(0, content=RecordDict({"arrays": arrays})))
    assert reply.content["arrays"] is arrays


def test_an_exception_becomes_an_error_reply_and_others_go_on() -> None:
    def second_fails(message: Message, context: Context) -> Message:
        if context.node_config["partition-id"] == 1:
            raise ValueError("no")
        return echo(message, context)

    good, bad = training(second_fails).send_and_receive(messages(0, 1))
    assert not good.has_error()
    assert (bad.error.code, bad.error.reason, bad.metadata.src_node_id) == (2, "ValueError: no", 1001)


def test_an_exit_is_an_error_of_the_client_and_others_go_on() -> None:
    def first_exits(message: Message, context: Context) -> Message:
        if context.node_config["partition-id"] == 0:
            sys.exit(3)
        return echo(message, context)

    bad, good = training(first_exits).send_and_receive(messages(0, 1))
    assert (bad.error.reason, good.has_error()) == ("SystemExit: 3", False)


def test_a_client_that_takes_too_long_gives_no_reply() -> None:
    def first_waits(message: Message, context: Context) -> Message:
        if context.node_config["partition-id"] == 0:
            time.sleep(60)
        return echo(message, context)

    app = ClientApp()
    app.train()(first_waits)
    grid, started = SerialGrid(app, 2, timeout=0.2), time.monotonic()
    (reply,) = grid.send_and_receive(messages(0, 1))
    assert reply.metadata.src_node_id == 1001
    assert time.monotonic() - started < 30


def test_a_message_without_instruction_is_an_error_of_the_client() -> None:
    (reply,) = SerialGrid(app, 1).send_and_receive(messages(0))
    assert reply.has_error()
    assert "Error" in client_failure(reply.error.reason or "")


def test_an_interrupt_is_no_reply() -> None:
    def interrupted(message: Message, context: Context) -> Message:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training(interrupted).push_messages(messages(0))


def test_there_is_no_run() -> None:
    grid = training(echo)
    with pytest.raises(NotImplementedError, match="no run"):
        _ = grid.run
    with pytest.raises(NotImplementedError, match="no run"):
        grid.set_run(None)  # type: ignore[arg-type]
