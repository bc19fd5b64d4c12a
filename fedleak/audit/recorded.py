"""What a recorder wrote: the messages of a Flower app, their arrays, and the batches that clients trained on."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from fedleak.audit.recorder import ARRAYS, MESSAGES
from fedleak.audit.watcher import SEEN
from fedleak.errors import InputError
from fedleak.records import Record, parse_json, read_json
from fedleak.transcript.fields import Count
from fedleak.transcript.files import UNREADABLE

LONGEST_LINE = 1 << 24
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_Settings = dict[str, dict[str, Any]]
NamedArrays = dict[str, NDArray[Any]]


class Begin(Record):
    """The first line of a recording."""

    event: Literal["start"]
    format: Literal["fedleak-recording"]
    version: Literal[1]
    flwr: str = ""
    app: str = ""
    run_config: dict[str, Any] = {}


class SentMessage(Record):
    """A message that asked a client to train: its arrays by name of their record, and its settings."""

    event: Literal["sent"]
    message: str
    node: Annotated[int, Field(ge=0, lt=2**64)]
    group: str
    call: Count
    arrays: dict[str, _Digest]
    metrics: _Settings
    config: _Settings


class ReplyMessage(Record):
    """What a client answered, or why it failed."""

    event: Literal["reply"]
    message: str
    node: int
    arrays: dict[str, _Digest] = {}
    metrics: _Settings = {}
    config: _Settings = {}
    error: str = ""


class Ending(Record):
    """The last line: the server finished or failed."""

    event: Literal["finished", "failed"]
    reason: str = ""


class SeenAbout(Record):
    """How a client trained in answer to one message."""

    message: str
    partition: int | str | float | bool | None = None
    optimizer: dict[str, Any] = {}
    training_mode: bool | None = None
    note: str = ""


_LINE: TypeAdapter[Begin | SentMessage | ReplyMessage | Ending] = TypeAdapter(
    Annotated[Begin | SentMessage | ReplyMessage | Ending, Field(discriminator="event")]
)


@dataclass(frozen=True)
class SeenTraining:
    """The batches of one local training: distinct ``images`` ``(N, ...)`` as the network got them, ``labels`` ``(N,)``,
    -1 where unknown, and the ``sizes`` of the batches.
    """

    about: SeenAbout
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    sizes: NDArray[np.int64]


@dataclass(frozen=True)
class Recorded:
    """A recording.

    Attributes:
        folder: where its files lie.
        begin: its first line.
        sent: the training messages, in order.
        replies: id of a message -> its reply.
        ending: how it ended; None: the server was killed, or is still running.
    """

    folder: Path
    begin: Begin
    sent: tuple[SentMessage, ...]
    replies: dict[str, ReplyMessage]
    ending: Ending | None

    @classmethod
    def read(cls, folder: Path) -> Recorded:
        """Read the messages of a recording.

        Raises:
            InputError: if there is none, or it is damaged.
        """
        lines = list(_lines(folder / MESSAGES))
        if not lines or not isinstance(lines[0], Begin):
            raise InputError("recording", str(folder / MESSAGES), "its first line is not that of a recording")
        replies = {line.message: line for line in lines if isinstance(line, ReplyMessage)}
        sent = tuple(line for line in lines if isinstance(line, SentMessage))
        ending = next((line for line in lines if isinstance(line, Ending)), None)
        return cls(folder, lines[0], sent, replies, ending)

    def arrays(self, digest: str) -> NamedArrays:
        """The arrays of a record, by name, in their order.

        Raises:
            InputError: if they are missing or damaged.
        """
        found = _read_arrays(self.folder / ARRAYS / f"{digest}.npz")
        names = [str(name) for name in found.pop("names")]
        return {name: found[str(place)] for place, name in enumerate(names) if str(place) in found}

    def seen_about(self, message: str) -> SeenAbout | None:
        """How a client trained in answer to a message, without the batches; None if that was not recorded.

        Raises:
            InputError: if it is damaged.
        """
        path = self._seen(message).with_suffix(".json")
        if not path.is_file():
            return None
        try:
            return SeenAbout.model_validate(read_json(path))
        except (OSError, ValueError) as error:
            raise InputError("recording", str(path), f"not a readable record of a training ({error})") from error

    def seen(self, message: str) -> SeenTraining | None:
        """What a client was seen to train on in answer to a message; None if that was not recorded.

        Raises:
            InputError: if it is damaged.
        """
        about = self.seen_about(message)
        if about is None:
            return None
        arrays = _read_arrays(self._seen(message).with_suffix(".npz"))
        return SeenTraining(about, arrays["images"], arrays["labels"], arrays["sizes"])

    def _seen(self, message: str) -> Path:
        return self.folder / SEEN / hashlib.sha256(message.encode()).hexdigest()[:32]


def _lines(path: Path) -> Iterator[Begin | SentMessage | ReplyMessage | Ending]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=1):
                if not line.endswith(b"\n"):  # cut off by a kill
                    return
                yield _parsed(line, f"{path}, line {number}")
    except FileNotFoundError:
        raise InputError("recording", str(path), "there is no such file; 'fedleak audit record' writes it") from None


def _parsed(line: bytes, place: str) -> Begin | SentMessage | ReplyMessage | Ending:
    try:
        return _LINE.validate_python(parse_json(line))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError("recording", place, f"{where}: {first['msg']}") from error
    except ValueError as error:
        raise InputError("recording", place, f"not a line of a recording ({error})") from error


def _read_arrays(path: Path) -> NamedArrays:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (*UNREADABLE, zipfile.BadZipFile) as error:
        raise InputError("recording", str(path), f"not a readable array file ({error})") from error
