"""Messages between fedleak and the process of its attacks: JSON objects, because attacks are not trusted."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

from fedleak.errors import FedleakError, InputError
from fedleak.progress import Progress, Task

Message = dict[str, Any]


def send(connection: Connection[Any, Any], **message: Any) -> None:
    """Send a JSON object."""
    connection.send_bytes(json.dumps(message, default=str).encode())


def receive(connection: Connection[Any, Any]) -> Message:
    """The next JSON object.

    Raises:
        EOFError: if the other side has closed the connection.
        ValueError: if it is not one.
    """
    message = json.loads(connection.recv_bytes())
    if not isinstance(message, dict):
        raise ValueError(f"expected a JSON object, got {type(message).__name__}")
    return message


class Channel:
    """The side of the attacks: progress and requests of one process, whose threads may send at the same time."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection, self._lock = connection, threading.Lock()
        self._tasks = count()

    def send(self, **message: Any) -> None:
        """Send a JSON object."""
        with self._lock:
            send(self._connection, **message)

    def say(self, message: str) -> None:
        """Print one line."""
        self.send(kind="say", text=message)

    def task(self, description: str, total: int) -> Task:
        """A new bar of ``total`` steps."""
        number = next(self._tasks)
        self.send(kind="task", task=number, description=description, total=total)
        return _RemoteTask(self, number)

    def begun(self, attack: str) -> None:
        """An attack begins."""
        self.send(kind="begun", attack=attack)

    def written(self) -> None:
        """New files of the attack are complete."""
        self.send(kind="written")

    def ended(self, attack: str) -> None:
        """An attack has ended, and all of its files are complete."""
        self.send(kind="ended", attack=attack)

    @contextmanager
    def exclusive(self, key: str) -> Iterator[None]:
        """Let one process on the machine at a time find or create the trained artefact of ``key``."""
        self.send(kind="claim", key=key)
        receive(self._connection)
        try:
            yield
        finally:
            self.send(kind="release", key=key)

    def fail(self, error: FedleakError) -> None:
        """Report an error that ends the stage."""
        if isinstance(error, InputError):
            self.send(kind="input_error", path=error.path, value=error.value, allowed=error.allowed)
        else:
            self.send(kind="error", text=str(error))


class _RemoteTask:
    def __init__(self, channel: Channel, number: int) -> None:
        self._channel, self._number = channel, number

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Advance the bar."""
        self._channel.send(kind="advance", task=self._number, steps=steps, note=note)


class Relay:
    """The other side: shows the progress that a process reports."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[int, Task] = {}

    def show(self, message: Message) -> None:
        """Show a message of progress.

        Raises:
            FedleakError: if the message is an error.
        """
        kind = message["kind"]
        if kind == "say":
            self._progress.say(str(message["text"]))
        elif kind == "task":
            self._tasks[int(message["task"])] = self._progress.task(str(message["description"]), int(message["total"]))
        elif kind == "advance":
            self._tasks[int(message["task"])].advance(int(message["steps"]), note=str(message["note"]))
        elif kind == "input_error":
            raise InputError(str(message["path"]), message["value"], str(message["allowed"]))
        elif kind == "error":
            raise FedleakError(str(message["text"]))
