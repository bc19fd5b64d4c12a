"""A real SuperLink in a process of its own, and nodes that are driven by hand; everything on the loopback interface."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from flwr.app import Message, RecordDict
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supernode.fleet_http_connection import http_request_response

from tests.federation.test_resources import free_port
from tests.processes import wait_for

SCRIPTS = Path(sys.executable).parent
START_SECONDS = 120


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Of Flower's processes: they write into ``folder``, tell nobody, and find each other and this fedleak."""
    quiet = {
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
    }
    paths = [str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
    found = {"PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(paths)}
    return {**os.environ, "FLWR_HOME": str(folder), **quiet, **found, **more}


@contextmanager
def process(folder: Path, command: str, *options: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command of Flower in a session of its own, with its log in ``folder``; ended with all that it started."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("ab") as log:
        started = subprocess.Popen(
            [str(SCRIPTS / command), *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment(folder, **variables),
        )
    try:
        yield started
    finally:
        kill(started)


def kill(started: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, at once; as a machine that fails."""
    with suppress(ProcessLookupError):
        os.killpg(started.pid, 9)
    started.wait()


def answers(port: int) -> bool:
    """Whether somebody listens on a port of the loopback interface."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def superlink(folder: Path, *options: str, port: int | None = None) -> Iterator[str]:
    """The address of a SuperLink that leaves servers to others."""
    port = port or free_port()
    common = ("--isolation", "process", "--host", "127.0.0.1", "--port", str(port))
    with process(folder, "flower-superlink", *common, *options):
        assert wait_for(lambda: answers(port), seconds=START_SECONDS), (folder / "log").read_text()
        yield f"127.0.0.1:{port}"


class HandDrivenNode:
    """A node without a process; it answers what the test wants.

    Attributes:
        id: Flower's.
    """

    def __init__(self, connection: tuple) -> None:  # type: ignore[type-arg]
        self.id, self._receive, self._send, self._get_run, *_, self._push, self._confirm = connection

    def receive(self) -> Message:
        """The next message, without its content."""
        found: list[Message] = []

        def arrived() -> bool:
            if (message := self._receive()) is not None:
                found.append(message[0])
            return bool(found)

        assert wait_for(arrived, seconds=30)
        return found[0]

    def answer(self, message: Message, content: RecordDict, *, upload: bool = True, src: int | None = None) -> None:
        """Reply honestly, or without uploading the content, or in another node's name."""
        reply = Message(content, reply_to=message)
        if src is not None:
            reply.metadata.__dict__["_src_node_id"] = src
        reply.metadata.__dict__["_message_id"] = reply.object_id
        objects = {name: part.deflate() for name, part in get_all_nested_objects(reply).items()}
        self._upload(reply, get_object_tree(reply), objects if upload else {})

    def answer_rubbish(self, message: Message, rubbish: bytes) -> None:
        """Reply by bytes that are no message."""
        name = hashlib.sha256(rubbish).hexdigest()
        reply = Message(RecordDict(), reply_to=message)
        reply.metadata.__dict__["_message_id"] = name
        self._upload(reply, ObjectTree(object_id=name), {name: rubbish})

    def _upload(self, reply: Message, tree: ObjectTree, objects: Mapping[str, bytes]) -> None:
        wanted, session = self._send(reply, tree, 0.0)
        for name in wanted:
            if name in objects:
                self._push(reply.metadata.run_id, session, name, objects[name])


@contextmanager
def node(address: str) -> Iterator[HandDrivenNode]:
    """A node that joins a SuperLink without TLS and leaves it in good order."""
    with http_request_response(address, insecure=True) as connection:
        yield HandDrivenNode(connection)
