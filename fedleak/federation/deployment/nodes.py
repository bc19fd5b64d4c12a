"""The nodes of a deployment: who is which client, and who takes the place of a node that is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid
from pydantic import Field, ValidationError

from fedleak.component import Settings
from fedleak.errors import FederationError
from fedleak.federation.exchange import StoppedError
from fedleak.federation.failures import client_failure
from fedleak.federation.membership import START_SECONDS, Members
from fedleak.federation.wire import WHOAMI
from fedleak.limits import CLIENTS, IMAGES
from fedleak.progress import Progress
from fedleak.version import __version__

ROLL_CALL_SECONDS = 60.0
"""Seconds that a new node has for its answer between rounds; Flower starts a process for each message."""
AGAIN_SECONDS = 20.0
"""Seconds after which a node that cannot take part is asked again."""
LOOK_SECONDS = 0.5


class NodeIdentity(Settings):
    """What a node says about itself."""

    partition_id: int = Field(alias="partition-id", ge=0, lt=CLIENTS)
    version: str = Field(default="", max_length=64)
    images: int = Field(default=0, ge=0, le=IMAGES)
    shape: tuple[int, ...] = Field(default=(), max_length=8)
    fingerprint: str = Field(default="", max_length=64)

    def objection(self, expected: Expectation) -> str:
        """Why this node cannot be a client of the federation; empty if it can."""
        if self.partition_id >= expected.clients:
            return f"it is client {self.partition_id}; the scenario has clients 0 to {expected.clients - 1}"
        if self.version != __version__:
            return f"it has fedleak {self.version or 'of unknown version'}; here is {__version__}"
        if not self.images:
            return "it has no images; start it with --node-config 'partition-id=N data=\"FOLDER\"'"
        if self.shape != expected.shape:
            return f"its images are {self.shape}; the scenario's are {expected.shape}"
        if expected.fingerprints and self.fingerprint != expected.fingerprints[self.partition_id]:
            return "it holds other images, or other keys, than this scenario deals; repeat fedleak deployment deal"
        held = expected.held[self.partition_id] if expected.held else self.images
        return "" if self.images == held else f"it holds {self.images} images; it held {held} when the run was planned"


@dataclass(frozen=True)
class Expectation:
    """What a node has to be.

    Attributes:
        clients: number of clients.
        shape: shape of an image.
        fingerprints: of each client's images and key; empty if nobody else knows them.
        held: number of images of each client; empty if not known yet.
    """

    clients: int
    shape: tuple[int, ...]
    fingerprints: Sequence[str] = ()
    held: Sequence[int] = ()


@dataclass
class DeployedClients:
    """The nodes that serve as clients; one that is gone is replaced by the next that comes with its number.

    Attributes:
        seconds: how long nodes have to come at the start.
        restarts: a node comes back by itself, so the engine goes on.
        identities: node -> what it said, of those that can take part.
    """

    expected: Expectation
    progress: Progress
    seconds: float = START_SECONDS
    restarts: bool = field(default=False, init=False)
    identities: dict[int, NodeIdentity] = field(default_factory=dict, init=False)
    _questions: dict[str, int] = field(default_factory=dict, init=False)
    _not_before: dict[int, float] = field(default_factory=dict, init=False)
    _objections: set[tuple[int, str]] = field(default_factory=set, init=False)

    def join(self, grid: Grid, count: int, *, stop: threading.Event) -> Members:
        """Wait until every client has a node.

        Raises:
            FederationError: naming the clients that have none after ``seconds``.
        """
        self._questions, deadline, said = {}, time.monotonic() + self.seconds, ""
        while missing := self._missing(grid, range(count)):
            names = ", ".join(map(str, missing))
            if time.monotonic() > deadline:
                raise FederationError(f"clients {names} of the deployment have no node after {self.seconds:.0f} s")
            if names != said:
                self.progress.say(f"federation: waiting for the nodes of clients {names}")
            said = names
            _pause(stop)
        members, places = Members(), self._places(set(grid.get_node_ids()))
        for client, node in sorted(places.items()):
            members.assign(client, node)
        return members

    def renew(self, grid: Grid, members: Members, lost: Set[int], *, stop: threading.Event) -> None:
        """Replace nodes that are gone, or that failed in the last round, by others that are the same clients.

        New nodes are waited for if they may be clients that have none.
        """
        deadline = time.monotonic() + ROLL_CALL_SECONDS
        while self._missing(grid, members.nodes) and self._questions and time.monotonic() < deadline:
            _pause(stop)
        present = set(grid.get_node_ids())
        for node in sorted(present.intersection(self.identities).difference(members.nodes.values())):
            client = self.identities[node].partition_id
            current = members.nodes[client]
            if current in present and client not in lost:
                self._object(node, f"client {client} is node {current}, which answers")
                continue
            members.assign(client, node)
            self.progress.say(f"federation: client {client} is now node {node}; it was node {current}")

    def _missing(self, grid: Grid, clients: Iterable[int]) -> list[int]:
        """Those clients that have no node now, after new nodes were asked and answers heard."""
        present = set(grid.get_node_ids())
        self._ask(grid, present)
        if self._questions:
            for reply in grid.pull_messages(list(self._questions)):
                self._hear(self._questions.pop(reply.metadata.reply_to_message_id), reply)
        places = self._places(present)
        return [client for client in clients if client not in places]

    def _places(self, present: Set[int]) -> dict[int, int]:
        """Client -> the first present node that said it is this client."""
        places: dict[int, int] = {}
        for node, identity in self.identities.items():
            if node in present:
                places.setdefault(identity.partition_id, node)
        return places

    def _ask(self, grid: Grid, present: Set[int]) -> None:
        """Ask nodes who they are, if they have not said it and are not asked already."""
        now = time.monotonic()
        known = {*self.identities, *self._questions.values()}
        nodes = [node for node in sorted(present - known) if now >= self._not_before.get(node, now)]
        if nodes:
            questions = [Message(RecordDict({"config": ConfigRecord()}), node, WHOAMI) for node in nodes]
            self._questions |= zip(grid.push_messages(questions), nodes, strict=True)

    def _hear(self, node: int, reply: Message) -> None:
        identity, objection = _read(reply, self.expected)
        if identity is None or objection:
            self._not_before[node] = time.monotonic() + AGAIN_SECONDS
            self._object(node, objection)
        else:
            self.identities[node] = identity

    def _object(self, node: int, objection: str) -> None:
        """Say once why a node does not take part."""
        if (node, objection) not in self._objections:
            self._objections.add((node, objection))
            self.progress.say(f"federation: node {node} does not take part: {objection}")


def _pause(stop: threading.Event) -> None:
    if stop.wait(LOOK_SECONDS):
        raise StoppedError("interrupted")


def _read(reply: Message, expected: Expectation) -> tuple[NodeIdentity | None, str]:
    """A node's identity, and why it cannot take part."""
    if reply.has_error():
        return None, client_failure(reply.error.reason or "unknown error")
    try:
        identity = NodeIdentity.model_validate(dict(reply.content.config_records["identity"]))
    except (KeyError, ValidationError, ValueError) as error:
        return None, f"its answer is not that of a fedleak node ({str(error).splitlines()[0]})"
    return identity, identity.objection(expected)
