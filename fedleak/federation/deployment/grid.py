"""A Flower grid whose nodes are not trusted: whatever one of them sends, the others' replies arrive."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import cast

import httpx
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
from flwr.proto.runtime_pb2 import PullAppMessagesRequest
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_protobuf_utils import make_pull_object_fn_protobuf
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents, pull_objects
from flwr.supercore.run import Run, RunNotRunningException
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.superlink.grid import HttpGrid

from fedleak.errors import FederationError
from fedleak.federation.failures import LOST_NODE

POLL_SECONDS = 0.25
SLACK_SECONDS = 30.0
"""Seconds that a message outlives the wait for its reply; then a node that was away does not begin it any more."""


class DeploymentGrid(HttpGrid):
    """Carries messages to the nodes of a SuperLink. Every message is answered at most once, by the node it went to.

    A reply that cannot be read, that comes from another node, or that a node's end prevents is an error reply.

    Args:
        runtime: client of the SuperLink, as the server of a run.
        run: the run.
        address: the SuperLink's, for messages.
        message_seconds: seconds for which a reply is waited.
    """

    def __init__(self, runtime: RuntimeHttpClient, run: Run, *, address: str, message_seconds: float) -> None:
        super().__init__(address, token="the client has it")  # noqa: S106 - not a password, and not used
        self._client, self._address, self._seconds = runtime, address, message_seconds
        self._waiting: dict[str, Message] = {}
        self._refused: dict[str, Message] = {}
        self._next_pull = 0.0
        self.set_run(run)

    def get_node_ids(self) -> list[int]:
        """Nodes that the SuperLink has heard from lately."""
        with superlink_errors(self._address):
            return sorted(super().get_node_ids())

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Send messages; each has an id, even if the SuperLink refuses it (its reply is an error)."""
        sent = list(messages)
        for message in sent:
            message.metadata.ttl = self._seconds + SLACK_SECONDS
        with superlink_errors(self._address):
            identifiers = list(super().push_messages(sent))
        if len(identifiers) != len(sent):
            raise FederationError(f"the SuperLink at {self._address} refuses messages of this size")
        names = []
        for identifier, message in zip(identifiers, sent, strict=True):
            name = identifier or f"refused-{message.object_id}"
            (self._waiting if identifier else self._refused)[name] = message
            names.append(name)
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Replies that have arrived; the SuperLink is asked at most every ``POLL_SECONDS``."""
        wanted = list(message_ids)
        refused = [(name, self._refused.pop(name)) for name in wanted if name in self._refused]
        replies = [_error(name, message, f"{LOST_NODE}: the SuperLink does not know it") for name, message in refused]
        time.sleep(max(0.0, self._next_pull - time.monotonic()))
        for name in wanted:
            if name in self._waiting:
                replies += self._pull(name)
        self._next_pull = time.monotonic() + POLL_SECONDS
        return replies

    def _pull(self, name: str) -> list[Message]:
        """The reply to a message, if it has arrived; what its sender has not uploaded in time is an error."""
        sent = self._waiting[name]
        try:
            with superlink_errors(self._address):
                reply = self._received(name, max(0.0, sent.metadata.created_at + self._seconds - time.time()))
        except FederationError:
            raise
        except Exception as error:  # the reply is whatever a node has sent
            reply = _error(name, sent, f"its reply cannot be read ({type(error).__name__}: {error})")
        if reply is None:
            return []
        self._waiting.pop(name)
        return [self._checked(name, sent, reply)]

    def _received(self, name: str, seconds: float) -> Message | None:
        """As ``HttpGrid.pull_messages``, which waits up to two hours for the parts of a reply."""
        found = self._runtime_client.PullMessages(PullAppMessagesRequest(message_ids=[name]))
        for message, tree in zip(found.messages_list, found.message_object_trees, strict=True):
            if message.metadata.reply_to_message_id != name:
                continue
            identifier = message.metadata.message_id
            runtime, run = self._runtime_client, self.run.run_id
            contents = pull_objects(
                [part.object_id for part in iterate_object_tree(tree)],
                make_pull_object_fn_protobuf(runtime.PullObject, self.node, run),
                max_time=seconds,
            )
            runtime.ConfirmMessageReceived(
                ConfirmMessageReceivedRequest(node=self.node, run_id=run, message_object_id=identifier)
            )
            return cast(Message, inflate_object_from_contents(identifier, contents))
        return None

    def _checked(self, name: str, sent: Message, reply: Message) -> Message:
        if reply.has_error():
            code, reason = reply.error.code, reply.error.reason or "unknown error"
            gone = code == ErrorCode.NODE_UNAVAILABLE
            return _error(name, sent, f"{LOST_NODE}: no sign of life" if gone else reason)
        if reply.metadata.src_node_id != sent.metadata.dst_node_id:
            return _error(name, sent, f"node {reply.metadata.src_node_id} answered instead of it")
        if reply.metadata.group_id != sent.metadata.group_id:
            return _error(name, sent, f"its reply is to message group {reply.metadata.group_id!r}"[:200])
        return reply


@contextmanager
def superlink_errors(address: str) -> Iterator[None]:
    """Raise a failure of the connection to a SuperLink as a ``FederationError``; a refusal of a request passes."""
    try:
        yield
    except RunNotRunningException as error:
        raise FederationError(f"the run has ended on the SuperLink at {address}") from error
    except httpx.TransportError as error:
        raise FederationError(f"the SuperLink at {address} does not answer: {error}") from error
    except httpx.HTTPStatusError as error:
        if error.response.status_code in (httpx.codes.FORBIDDEN, httpx.codes.UNAUTHORIZED):
            raise FederationError(f"the run has ended on the SuperLink at {address}, or it wants a login") from error
        status = f"{error.response.status_code} {error.response.reason_phrase}"
        raise FederationError(f"the SuperLink at {address} refuses a request: {status}") from error


def _error(name: str, sent: Message, reason: str) -> Message:
    """An error reply in the name of the node that ``sent`` went to."""
    reply = Message(Error(code=ErrorCode.UNKNOWN, reason=reason), reply_to=sent)
    reply.metadata.__dict__["_reply_to_message_id"] = name
    return reply
