"""Waiting for replies: timeouts, interrupts, failures in the user's words."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict

from fedleak.errors import FederationError
from fedleak.federation.client import app
from fedleak.federation.exchange import StoppedError, exchange, identify, wait_for_nodes
from fedleak.federation.serial_grid import FIRST_NODE, SerialGrid
from fedleak.federation.wire import WHOAMI


def questions(count: int) -> list[Message]:
    """One message to each node."""
    return [Message(RecordDict({"c": ConfigRecord()}), FIRST_NODE + i, WHOAMI) for i in range(count)]


class MuteGrid(SerialGrid):
    """Some nodes answer late or never."""

    def __init__(self, nodes: int, *, mute: Iterable[int] = (), failing: Iterable[int] = ()) -> None:
        super().__init__(app, nodes)
        self.mute, self.failing = set(mute), set(failing)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = [
            r for r in super().pull_messages(message_ids) if r.metadata.src_node_id - FIRST_NODE not in self.mute
        ]
        return [self._fail(r) if r.metadata.src_node_id - FIRST_NODE in self.failing else r for r in replies]

    def _fail(self, reply: Message) -> Message:
        broken = Message(Error(code=0, reason="ValueError: no"), reply_to=questions(1)[0])
        broken.metadata.__dict__.update(reply.metadata.__dict__)
        return broken


def test_all_replies() -> None:
    grid = SerialGrid(app, 3)
    assert len(exchange(grid, questions(3), timeout=5, stop=threading.Event())) == 3
    nodes = wait_for_nodes(grid, 3, timeout=1, stop=threading.Event())
    assert identify(grid, nodes, timeout=1, stop=threading.Event()) == {0: 1000, 1: 1001, 2: 1002}


def test_a_slow_push_is_no_timeout() -> None:
    assert len(exchange(SerialGrid(app, 3), questions(3), timeout=0, stop=threading.Event())) == 3


def test_missing_replies_are_given_up_in_time() -> None:
    start = time.monotonic()
    replies = exchange(MuteGrid(3, mute=[1]), questions(3), timeout=0.3, stop=threading.Event())
    assert {reply.metadata.src_node_id - FIRST_NODE for reply in replies} == {0, 2}
    assert 0.3 <= time.monotonic() - start < 3


def test_an_interrupt_ends_the_wait() -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    start = time.monotonic()
    with pytest.raises(StoppedError):
        exchange(MuteGrid(2, mute=[0]), questions(2), timeout=60, stop=stop)
    with pytest.raises(StoppedError):
        wait_for_nodes(MuteGrid(2), 3, timeout=60, stop=stop)
    assert time.monotonic() - start < 5


def test_too_few_nodes() -> None:
    with pytest.raises(FederationError, match="only 2 of 3 clients registered within 0 s"):
        wait_for_nodes(SerialGrid(app, 2), 3, timeout=0.1, stop=threading.Event())


def test_clients_that_cannot_start() -> None:
    grids = {" within 0 s": MuteGrid(2, mute=[0]), ": ValueError: no": MuteGrid(2, failing=[0])}
    for words, grid in grids.items():
        with pytest.raises(FederationError, match=f"1 of 2 clients could be started{words}"):
            identify(grid, [1000, 1001], timeout=0.2, stop=threading.Event())
