"""A Flower grid that runs every client in this process, one after the other, without Ray."""

from __future__ import annotations

import copy
import math
import uuid
from collections.abc import Iterable

from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.app.user_config import UserConfig
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from fedleak.federation.time_limit import TimeLimitError, time_limit

FIRST_NODE = 1000


class SerialGrid(Grid):
    """Runs an unmodified ``ClientApp``; node ids are the partition ids plus ``FIRST_NODE``.

    Args:
        client_app: the app.
        nodes: number of clients.
        timeout: seconds that a client has for a reply; a later one is missing, as from a client that does not answer.
    """

    def __init__(self, client_app: ClientApp, nodes: int, *, timeout: float = math.inf) -> None:
        # The constructor of Message reads the identity of the current task.
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, SUPERLINK_NODE_ID
        self._app, self._timeout = client_app, timeout
        self._replies: dict[str, Message] = {}
        self._contexts = {
            FIRST_NODE + partition: Context(
                run_id=1,
                node_id=FIRST_NODE + partition,
                node_config=UserConfig({"partition-id": partition, "num-partitions": nodes}),
                state=RecordDict(),
                run_config=UserConfig(),
            )
            for partition in range(nodes)
        }

    def set_run(self, run: Run) -> None:
        """Not supported: a serial grid has no run."""
        raise NotImplementedError("a serial grid has no run")

    @property
    def run(self) -> Run:
        """Not supported: a serial grid has no run."""
        raise NotImplementedError("a serial grid has no run")

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """A message to a node."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """All node ids."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Run each client immediately; an exception or an exit becomes an error reply, as in Flower's own engine."""
        identifiers = []
        for message in messages:
            identifier = str(uuid.uuid4())
            message.metadata.__dict__["_message_id"] = identifier
            message.content = _own_settings(message.content)
            identifiers.append(identifier)
            try:
                with time_limit(self._timeout):
                    reply = self._app(message, self._contexts[message.metadata.dst_node_id])
            except TimeLimitError:
                continue
            except (Exception, SystemExit) as error:  # a client's model may be a user's own code
                reply = Message(Error(code=2, reason=f"{type(error).__name__}: {error}"), reply_to=message)
            self._replies[identifier] = reply
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Replies to ``message_ids``; each is returned once."""
        return [self._replies.pop(i) for i in list(message_ids) if i in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Push, then pull."""
        return self.pull_messages(self.push_messages(messages))


def _own_settings(content: RecordDict) -> RecordDict:
    """The content with shared arrays and copied settings, so that a client cannot change what others receive."""
    return RecordDict({n: copy.deepcopy(r) if isinstance(r, ConfigRecord) else r for n, r in content.items()})
