"""Which Flower node is which client: fixed in a simulation, changing in a deployment."""

from __future__ import annotations

import threading
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Protocol

from flwr.serverapp import Grid

from fedleak.federation.exchange import identify, wait_for_nodes

START_SECONDS = 120.0


@dataclass
class Members:
    """The nodes of a federation; both mappings change when a node replaces another.

    Attributes:
        nodes: client -> its node.
        clients: node, of now or before -> its client.
    """

    nodes: dict[int, int] = field(default_factory=dict)
    clients: dict[int, int] = field(default_factory=dict)

    def assign(self, client: int, node: int) -> None:
        """Make ``node`` the node of ``client``."""
        self.nodes[client] = node
        self.clients[node] = client


class Membership(Protocol):
    """How the nodes of clients are found, and what happens when one is lost.

    Attributes:
        restarts: whether the engine must be restarted for a lost client to come back.
    """

    restarts: bool

    def join(self, grid: Grid, count: int, *, stop: threading.Event) -> Members:
        """The nodes of clients 0 to ``count - 1``, once all are there."""

    def renew(self, grid: Grid, members: Members, lost: Set[int], *, stop: threading.Event) -> None:
        """Between rounds, replace nodes that are gone; ``lost`` are the clients that failed in the last one."""


class SimulatedClients:
    """The clients of a simulation, which stay while their engine runs."""

    restarts = True

    def join(self, grid: Grid, count: int, *, stop: threading.Event) -> Members:
        """The nodes of all clients.

        Raises:
            FederationError: if one cannot be started.
        """
        members = Members()
        nodes = wait_for_nodes(grid, count, timeout=START_SECONDS, stop=stop)
        for client, node in identify(grid, nodes, timeout=START_SECONDS, stop=stop).items():
            members.assign(client, node)
        return members

    def renew(self, grid: Grid, members: Members, lost: Set[int], *, stop: threading.Event) -> None:
        """Nothing changes."""
