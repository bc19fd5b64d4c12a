"""Records what a Flower server sends to its clients for training, and what comes back.

This one file needs Python 3.10, flwr and numpy alone, so that it can be copied into the environment of any app;
``fedleak audit record`` does that, and ``audit`` is for people who prefer a line in their own server. A recording is a
folder: ``messages.jsonl`` has one line for each event, ``arrays/`` one ``.npz`` file for each distinct set of arrays,
named by its content.
"""

from __future__ import annotations

import copy
import hashlib
import importlib
import json
import math
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

MESSAGES, ARRAYS = "messages.jsonl", "arrays"
FORMAT = {"format": "fedleak-recording", "version": 1}
LONGEST_LIST = 20


class Recording:
    """The folder of a recording while the server runs.

    Raises:
        FileExistsError: if the folder holds a recording already.
    """

    def __init__(self, folder: str | os.PathLike[str], **about: Any) -> None:
        self.folder = Path(folder)
        (self.folder / ARRAYS).mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._last: tuple[list[bytes], str] = ([], "")
        if (self.folder / MESSAGES).exists():
            raise FileExistsError(f"{self.folder}: holds a recording already; choose another folder")
        self.write("start", **FORMAT, **about)

    def write(self, event: str, **values: Any) -> None:
        """Add a line to the messages."""
        line = json.dumps({"event": event} | values, allow_nan=False) + "\n"
        with self._lock, (self.folder / MESSAGES).open("a", encoding="utf-8") as file:
            file.write(line)

    def content(self, content: RecordDict) -> dict[str, Any]:
        """What a message holds; its arrays are stored under the hash of their bytes."""
        return {
            "arrays": {name: self._stored(record) for name, record in content.array_records.items()},
            "metrics": {name: plain(dict(record)) for name, record in content.metric_records.items()},
            "config": {name: plain(dict(record)) for name, record in content.config_records.items()},
        }

    def _stored(self, record: ArrayRecord) -> str:
        data = [array.data for array in record.values()]
        with self._lock:  # a broadcast is often one object in many messages: its bytes are hashed once
            known, name = self._last
        if not data or len(known) != len(data) or any(a is not b for a, b in zip(known, data)):  # noqa: B905
            digest = hashlib.sha256(json.dumps(list(record)).encode())
            for part in data:
                digest.update(len(part).to_bytes(8, "big") + part)
            name = digest.hexdigest()[:32]
        path = self.folder / ARRAYS / f"{name}.npz"
        if not path.exists():
            arrays = {str(i): array.numpy() for i, array in enumerate(record.values()) if array.data}
            save_arrays(path, names=np.array(list(record), dtype=np.str_), **arrays)
        with self._lock:
            self._last = (data, name)
        return name


def save_arrays(path: Path, **arrays: np.ndarray[Any, Any]) -> None:
    """Write an ``.npz`` file in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    os.replace(temporary, path)


def plain(value: Any) -> Any:
    """A setting or metric as JSON; bytes by their number, of a long list the beginning."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value[:LONGEST_LIST]]
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


class RecordingGrid(Grid):
    """A grid that passes everything on to another one, and notes training messages and their replies."""

    def __init__(self, inner: Grid, recording: Recording) -> None:
        self._inner, self._recording, self._calls = inner, recording, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)  # what a grid has beyond the interface

    def set_run(self, *run: Any, **named: Any) -> None:
        """As the grid inside."""
        self._inner.set_run(*run, **named)

    @property
    def run(self) -> Any:
        """As the grid inside."""
        return self._inner.run

    def create_message(self, *parts: Any, **named: Any) -> Message:
        """As the grid inside."""
        return self._inner.create_message(*parts, **named)

    def get_node_ids(self) -> Iterable[int]:
        """As the grid inside."""
        return self._inner.get_node_ids()

    def get_nodes(self) -> Any:
        """As the grid inside."""
        return self._inner.get_nodes()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send, and note what was sent."""
        sent: list[tuple[Any, dict[str, Any]]] = []
        identifiers = self._inner.push_messages(self._noted(messages, sent))
        self._write_sent(sent)
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Receive, and note what was received."""
        return self._replied(self._inner.pull_messages(message_ids))

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Send and receive, and note both."""
        sent: list[tuple[Any, dict[str, Any]]] = []
        replies = self._inner.send_and_receive(self._noted(messages, sent), timeout=timeout)
        self._write_sent(sent)
        return self._replied(replies)

    def _noted(self, messages: Iterable[Message], sent: list[tuple[Any, dict[str, Any]]]) -> Iterator[Message]:
        self._calls += 1
        call = self._calls
        for message in messages:
            if is_training(message):
                # The id is given when the message is sent; the content may be gone by then.
                sent.append((message.metadata, {"call": call} | self._recording.content(message.content)))
            yield message

    def _write_sent(self, sent: list[tuple[Any, dict[str, Any]]]) -> None:
        for about, content in sent:
            self._recording.write(
                "sent", message=about.message_id, node=about.dst_node_id, group=about.group_id, **content
            )

    def _replied(self, replies: Iterable[Message]) -> Iterable[Message]:
        kept = replies if isinstance(replies, (list, tuple)) else list(replies)
        for reply in kept:
            if is_training(reply):
                about = {"message": reply.metadata.reply_to_message_id, "node": reply.metadata.src_node_id}
                if reply.has_error():
                    self._recording.write("reply", **about, error=reply.error.reason or f"code {reply.error.code}")
                else:
                    self._recording.write("reply", **about, **self._recording.content(reply.content))
        return kept


def is_training(message: Message) -> bool:
    """Whether a message asks a client to train, or answers that."""
    return message.metadata.message_type.partition(".")[0] == "train"


@contextmanager
def _noting_the_end(recording: Recording) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        recording.write("failed", reason=f"{type(error).__name__}: {error}")
        raise
    recording.write("finished")


def audit(strategy: Any, out: str | os.PathLike[str] = "audit") -> Any:
    """The strategy, whose ``start`` also records what is sent and received.

    Args:
        strategy: of ``flwr.serverapp.strategy``, or one of your own that derives from it; it is copied.
        out: a new folder; ``fedleak audit record OUT --model MODULE:NAME`` makes a run of it that can be attacked.

    Raises:
        TypeError: if it is no such strategy.
    """
    from flwr.serverapp.strategy import Strategy

    kind = type(strategy)
    if not isinstance(strategy, Strategy):
        found = f"got {kind.__module__}.{kind.__qualname__}"
        raise TypeError(
            f"audit: {found}; expected a strategy of flwr.serverapp.strategy, such as FedAvg(). An app of another make "
            "is recorded by 'fedleak audit record APP_DIR'"
        )

    def start(self: Any, grid: Grid, *arguments: Any, **named: Any) -> Any:
        recording = Recording(Path(out, "recording"), flwr=_version())
        with _noting_the_end(recording):
            return kind.start(self, RecordingGrid(grid, recording), *arguments, **named)

    audited = copy.copy(strategy)
    audited.__class__ = type(kind.__name__, (kind,), {"start": start, "__module__": kind.__module__})
    return audited


def _version() -> str:
    from importlib.metadata import version

    return version("flwr")


def load_app(reference: str, kind: type[Any]) -> Any:
    """The object that ``module:attribute`` names.

    Raises:
        TypeError: if it is not of this kind.
    """
    module, _, names = reference.partition(":")
    found: Any = importlib.import_module(module)
    for name in names.split("."):
        found = getattr(found, name)
    if not isinstance(found, kind):
        raise TypeError(f"{reference} is {type(found).__name__}, not a {kind.__name__} of Flower")
    return found


class RecordedServerApp(ServerApp):
    """A server app that runs another one with a grid that records.

    Args:
        reference: ``module:attribute`` of the app.
        folder: of the recording, absolute; it must exist on the machine of the server.
    """

    def __init__(self, reference: str, folder: str) -> None:
        super().__init__()
        self._inner, self._folder, self._reference = load_app(reference, ServerApp), folder, reference

    def __call__(self, grid: Grid, context: Context) -> None:
        """Run the app."""
        check_here(self._folder, "server")
        settings = plain(dict(context.run_config))
        recording = Recording(self._folder, flwr=_version(), app=self._reference, run_config=settings)
        with _noting_the_end(recording):
            self._inner(RecordingGrid(grid, recording), context)


def check_here(folder: str, who: str) -> None:
    """Check that the folder exists on this machine.

    Raises:
        FileNotFoundError: if it does not.
    """
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"{folder}: no such folder on the machine of the {who}; a recording is written there: use a SuperLink on "
            "this machine, or audit(strategy) in your server"
        )
