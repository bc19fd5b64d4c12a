"""A Flower grid that lists clients but carries no messages, for strategies that are not to send any."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run

REFUSED = "a server strategy does not send messages itself; the federation's plan does"


class Roster(Grid):
    """Lists the clients of a federation.

    Args:
        nodes: Flower's ids of the clients.
    """

    def __init__(self, nodes: Iterable[int]) -> None:
        self._nodes = list(nodes)

    def get_node_ids(self) -> Iterable[int]:
        """All node ids."""
        return list(self._nodes)

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message to a node, which nobody sends."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def set_run(self, run: Run) -> NoReturn:
        """Not supported."""
        raise NotImplementedError(REFUSED)

    @property
    def run(self) -> Run:
        """Not supported."""
        raise NotImplementedError(REFUSED)

    def push_messages(self, messages: Iterable[Message]) -> NoReturn:
        """Not supported."""
        raise NotImplementedError(REFUSED)

    def pull_messages(self, message_ids: Iterable[str]) -> NoReturn:
        """Not supported."""
        raise NotImplementedError(REFUSED)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> NoReturn:
        """Not supported."""
        raise NotImplementedError(REFUSED)
