"""Who is which client: nodes that come, go, come back under another id, or are not what they should be."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context, Error, Message, RecordDict
from flwr.app.user_config import UserConfig
from flwr.clientapp import ClientApp

from fedleak.errors import FederationError
from fedleak.federation.client import app
from fedleak.federation.deployment import nodes as module
from fedleak.federation.deployment.nodes import DeployedClients, Expectation
from fedleak.federation.exchange import StoppedError
from fedleak.federation.membership import Members
from fedleak.federation.node_data import fingerprint, write_node_folder
from fedleak.federation.serial_grid import SerialGrid
from tests.federation.small import IMAGES, LABELS, labelled
from tests.federation.test_runtime import Telling

STOP = threading.Event()


class LocalNodes(SerialGrid):
    """Real clients in this process, each with the configuration of its node; silent ones never answer.

    Attributes:
        silent: ids of nodes that are listed but do not answer.
    """

    def __init__(self, folder: Path, clients: Iterable[int] = (0, 1, 2), client_app: ClientApp = app) -> None:
        super().__init__(client_app, 0)
        self.folder, self.silent = folder, set[int]()
        for client in range(3):
            data = labelled((IMAGES[client],), (LABELS[client],))
            write_node_folder(folder / f"{client:05d}", data, key=f"key {client}")
        for client in clients:
            self.come(client, node=100 + client)

    def come(self, client: int, *, node: int, **config: Any) -> None:
        """A node appears; by default it is configured as it should be."""
        config = config or {"partition-id": client, "data": str(self.folder / f"{client:05d}")}
        own = UserConfig(config)
        self._contexts[node] = Context(1, node, own, RecordDict(), UserConfig())

    def leave(self, node: int) -> None:
        """A node is not listed any more."""
        del self._contexts[node]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        names: list[str] = []
        for message in messages:
            node = message.metadata.dst_node_id
            if node in self.silent:
                names.append(f"silent-{node}")
            else:
                names += super().push_messages([message])
        return names


def expectation() -> Expectation:
    data = [labelled((IMAGES[client],), (LABELS[client],)) for client in range(3)]
    prints = [fingerprint(f"key {client}", own) for client, own in enumerate(data)]
    return Expectation(3, (1, 2, 2), prints, (1, 1, 1))


def clients(expected: Expectation | None = None, *, seconds: float = 5.0) -> tuple[DeployedClients, list[str]]:
    """The clients, and what is said about them."""
    told = Telling()
    return DeployedClients(expected or expectation(), told, seconds), told.said


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "ROLL_CALL_SECONDS", 0.2)


def joined(grid: LocalNodes) -> tuple[DeployedClients, list[str], Members]:
    found, said = clients()
    return found, said, found.join(grid, 3, stop=STOP)


def test_every_client_has_its_node(tmp_path: Path) -> None:
    _, said, members = joined(LocalNodes(tmp_path))
    assert members.nodes == {0: 100, 1: 101, 2: 102}
    assert members.clients == {100: 0, 101: 1, 102: 2}
    assert said == []


def test_a_late_node_is_waited_for_and_missing_ones_are_named(tmp_path: Path) -> None:
    grid = LocalNodes(tmp_path, (0,))
    late = threading.Timer(0.2, lambda: (grid.come(1, node=7), grid.come(2, node=8)))
    late.start()
    _, said, members = joined(grid)
    assert members.nodes == {0: 100, 1: 7, 2: 8}
    assert said[0] == "federation: waiting for the nodes of clients 1, 2"
    found, _ = clients(seconds=0.1)
    with pytest.raises(FederationError, match=r"clients 1, 2 of the deployment have no node after 0 s"):
        found.join(LocalNodes(tmp_path, (0,)), 3, stop=STOP)


def test_a_silent_node_delays_nobody(tmp_path: Path) -> None:
    grid = LocalNodes(tmp_path)
    grid.come(1, node=50)
    grid.silent.add(50)
    assert joined(grid)[2].nodes[1] == 101


def test_an_interrupt_ends_the_wait(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(StoppedError):
        clients(seconds=60)[0].join(LocalNodes(tmp_path, (0,)), 3, stop=stop)


def rubbish() -> ClientApp:
    """A client whose answers are none."""
    other = ClientApp()

    @other.query("whoami")
    def whoami(message: Message, context: Context) -> Message:
        return Message(RecordDict(), reply_to=message)

    return other


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"partition-id": 3, "data": "00002"}, "it is client 3; the scenario has clients 0 to 2"),
        ({"partition-id": -1, "data": "00002"}, "its answer is not that of a fedleak node"),
        ({"partition-id": 2}, "it has fedleak of unknown version"),
        ({"partition-id": 2, "data": "00001"}, "it holds other images, or other keys, than this scenario deals"),
        ({"partition-id": 2, "data": "nowhere"}, "FileNotFoundError"),
        ({"other": 2}, "KeyError"),
    ],
)
def test_a_node_that_cannot_take_part_is_named_once(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    grid = LocalNodes(tmp_path, (0, 1))
    if "data" in config:
        config = config | {"data": str(tmp_path / config["data"])}
    grid.come(2, node=9, **config)
    found, said = clients(seconds=0.2)
    with pytest.raises(FederationError, match="clients 2 of the deployment have no node"):
        found.join(grid, 3, stop=STOP)
    about = [line for line in said if "node 9 does not take part" in line]
    assert len(about) == 1
    assert reason in about[0]


def test_an_app_of_somebody_else_is_no_node_of_ours(tmp_path: Path) -> None:
    found, said = clients(seconds=0.1)
    with pytest.raises(FederationError, match="clients 0, 1, 2"):
        found.join(LocalNodes(tmp_path, client_app=rubbish()), 3, stop=STOP)
    assert any("its answer is not that of a fedleak node" in line for line in said)


def test_numbers_of_images_must_be_those_of_the_plan(tmp_path: Path) -> None:
    found, said = clients(Expectation(3, (1, 2, 2), (), (1, 1, 5)), seconds=0.1)
    with pytest.raises(FederationError, match="clients 2"):
        found.join(LocalNodes(tmp_path), 3, stop=STOP)
    assert any("it holds 1 images; it held 5 when the run was planned" in line for line in said)
    found, said = clients(Expectation(3, (3, 2, 2)), seconds=0.1)
    with pytest.raises(FederationError, match="clients 0, 1, 2"):
        found.join(LocalNodes(tmp_path), 3, stop=STOP)
    assert any("its images are (1, 2, 2); the scenario's are (3, 2, 2)" in line for line in said)


def test_a_node_that_is_gone_is_replaced_by_one_with_another_id(tmp_path: Path) -> None:
    grid = LocalNodes(tmp_path)
    found, said, members = joined(grid)
    grid.leave(101)
    found.renew(grid, members, {1}, stop=STOP)
    assert members.nodes[1] == 101  # nobody else is there: its messages fail, and that is recorded
    grid.come(1, node=7)
    found.renew(grid, members, {1}, stop=STOP)
    assert members.nodes == {0: 100, 1: 7, 2: 102}
    assert (members.clients[101], members.clients[7]) == (1, 1)
    assert said == ["federation: client 1 is now node 7; it was node 101"]


def test_a_newcomer_takes_no_place_of_a_node_that_answers(tmp_path: Path) -> None:
    grid = LocalNodes(tmp_path)
    found, said, members = joined(grid)
    grid.come(1, node=7)
    found.renew(grid, members, set(), stop=STOP)
    assert members.nodes[1] == 101
    assert said == ["federation: node 7 does not take part: client 1 is node 101, which answers"]
    found.renew(grid, members, {1}, stop=STOP)  # it failed, though it is still listed
    assert members.nodes[1] == 7
    grid.leave(7)
    found.renew(grid, members, {1}, stop=STOP)
    assert members.nodes[1] == 101


def test_an_error_reply_is_said_in_one_line(tmp_path: Path) -> None:
    other = ClientApp()

    @other.query("whoami")
    def whoami(message: Message, context: Context) -> Message:
        return Message(Error(code=0, reason="no\nlast words"), reply_to=message)

    found, said = clients(seconds=0.1)
    with pytest.raises(FederationError):
        found.join(LocalNodes(tmp_path, client_app=other), 3, stop=STOP)
    assert "federation: node 100 does not take part: last words" in said
