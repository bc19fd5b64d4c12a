"""JSON records and atomic writes; imports no torch, so that reading results is fast."""

from __future__ import annotations

import errno
import json
import os
import stat
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict

from fedleak.errors import InputError

R = TypeVar("R", bound=BaseModel)

ENCODED_BYTES = AliasChoices("encoded_bytes", "bytes_per_update")
"""Accepted keys for the encoded size of an update; results written before 0.2 use the second one."""

LARGEST_JSON = 1 << 26
"""Largest JSON file that is read, in bytes."""


class Record(BaseModel):
    """A frozen JSON object; unknown keys are errors. NaN and infinities are written as strings and read back."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


def log_traceback(path: Path, title: str, error: BaseException) -> None:
    """Append the traceback of ``error`` to a log, under ``title``."""
    lines = traceback.format_exception(error)
    with path.open("a", encoding="utf-8", errors="replace") as file:
        file.write(f"{title}\n{''.join(lines)}\n")


def write_atomically(path: Path, text: str) -> None:
    """Replace the content of ``path`` with ``text`` (UTF-8); readers see either the old file or the new one.

    A device or pipe, such as ``/dev/null``, is written to and stays what it is.

    Raises:
        OSError: with the name of the file, such as on a full disk.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        with naming(path), path.open("w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with naming(path):
            temporary.unlink(missing_ok=True)  # it may be a link
            with temporary.open("x", encoding="utf-8", errors="replace") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an OSError that is raised inside the block the name ``path``.

    Raises:
        OSError: the same with a name.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or errno.EIO
        raise OSError(number, error.strerror or str(error), str(path)) from error


def read_json(path: Path) -> Any:
    """The JSON value in a file of at most ``LARGEST_JSON`` bytes of UTF-8.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no regular file, too large, no JSON, nested too deeply, or an object has a key twice.
    """
    return parse_json(read_bytes(path, most=LARGEST_JSON))


def read_bytes(path: Path, *, most: int) -> bytes:
    """The content of a regular file of at most ``most`` bytes.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no regular file or larger.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no regular file")
    if found.st_size > most:
        raise ValueError(f"it has {found.st_size:,} bytes; at most {most:,} are read")
    return path.read_bytes()


def parse_json(content: bytes) -> Any:
    """The JSON value in UTF-8 text.

    Raises:
        ValueError: if it is no JSON, nested too deeply, or an object has a key twice.
    """
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_without_repeats)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def load_optional(path: Path, kind: type[R], *, what: str, remedy: str = "") -> R | None:
    """The record in a JSON file; None if there is no file.

    Raises:
        InputError: saying that it is not ``what``, why, and what to do, if it cannot be read.
    """
    try:
        return kind.model_validate(read_json(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # pydantic's errors are ValueErrors
        advice = f"; {remedy}" if remedy else ""
        raise InputError("RUN_DIR", str(path), f"not {what} ({str(error).splitlines()[0]}){advice}") from error
