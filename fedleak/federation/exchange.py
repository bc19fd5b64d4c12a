"""Sending messages over a Flower grid and waiting for the replies, with support for interruption."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from fedleak.errors import FederationError
from fedleak.federation.failures import client_failure
from fedleak.federation.wire import WHOAMI

POLL_SECONDS = 0.02


class StoppedError(FederationError):
    """The run was interrupted."""


def exchange(grid: Grid, messages: Iterable[Message], *, timeout: float, stop: threading.Event) -> list[Message]:
    """Replies that arrive within ``timeout`` seconds; late ones are missing from the result.

    A serial grid has all replies when the push returns; it limits the time of each client. Replies are therefore pulled
    at least once.

    Raises:
        StoppedError: as soon as ``stop`` is set.
    """
    deadline = time.monotonic() + timeout
    waiting = set(grid.push_messages(messages))
    replies: list[Message] = []
    while True:
        if stop.is_set():
            raise StoppedError("interrupted")
        arrived = list(grid.pull_messages(waiting))
        replies += arrived
        waiting -= {reply.metadata.reply_to_message_id for reply in arrived}
        if not waiting or time.monotonic() > deadline:
            return replies
        stop.wait(POLL_SECONDS)


def wait_for_nodes(grid: Grid, count: int, *, timeout: float, stop: threading.Event) -> list[int]:
    """Node ids, once ``count`` of them have registered.

    Raises:
        FederationError: if fewer registered within ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        nodes = list(grid.get_node_ids())
        if len(nodes) >= count:
            return nodes
        if time.monotonic() > deadline:
            raise FederationError(f"only {len(nodes)} of {count} clients registered within {timeout:.0f} s")
        if stop.wait(POLL_SECONDS):
            raise StoppedError("interrupted")


def identify(grid: Grid, nodes: list[int], *, timeout: float, stop: threading.Event) -> dict[int, int]:
    """Partition id -> node id, by asking every node once.

    Raises:
        FederationError: if a node does not answer.
    """
    questions = [Message(RecordDict({"config": ConfigRecord()}), node, WHOAMI) for node in nodes]
    replies = exchange(grid, questions, timeout=timeout, stop=stop)
    errors = [client_failure(reply.error.reason or "unknown error") for reply in replies if reply.has_error()]
    if errors or len(replies) < len(nodes):
        detail = f": {errors[0]}" if errors else f" within {timeout:.0f} s"
        raise FederationError(f"{len(replies) - len(errors)} of {len(nodes)} clients could be started{detail}")
    return {int(str(r.content.config_records["identity"]["partition-id"])): r.metadata.src_node_id for r in replies}
