"""Errors that fedleak raises on purpose, each with the exit code of the command line."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

LONGEST_PATH, LONGEST_REASON = 200, 2000
"""Characters of the parts of a message."""
MOST_ERRORS = 20
"""Errors in one message."""
BRACKETS: dict[type, str] = {list: "[]", tuple: "()", dict: "{}"}

WRONG_PATH = {
    errno.EACCES: "choose another path, or change its permissions",
    errno.EEXIST: "a file has this name; choose another path",
    errno.EISDIR: "it is a directory; a file is expected there",
    errno.ELOOP: "its links lead in a circle; choose another path",
    errno.EINVAL: "choose another path",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ENOENT: "there is no such file or directory",
    errno.ENOTDIR: "a part of the path is a file; choose another path",
    errno.EPERM: "choose another path, or change its permissions",
    errno.EROFS: "choose a path on a file system that can be written to",
    errno.EXDEV: "choose another path",
}
"""Errors of the operating system that the user's path causes, with what to do; all others are failures of the run."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CONTINUE = "finished work is kept, and the same command continues it"


class FedleakError(Exception):
    """A run that could not be finished; the run directory can be resumed (exit code 1)."""

    exit_code = 1


class InputError(FedleakError):
    """An invalid input of the user; nothing has been run or written (exit code 2).

    Args:
        path: the YAML path or command-line option that is wrong, e.g. ``federation.clients``.
        value: the value found there.
        allowed: description of the accepted values.
    """

    exit_code = 2

    def __init__(self, path: str, value: object, allowed: str) -> None:
        self.path, self.value, self.allowed = path, value, allowed
        super().__init__(f"{one_line(path)}: got {shorten(value)}; {one_line(allowed, LONGEST_REASON)}")


class InputErrors(InputError):  # noqa: N818 - the plural is deliberate
    """Several input errors found in one pass, one line each."""

    def __init__(self, errors: list[InputError]) -> None:
        if errors:
            self.path, self.value, self.allowed = errors[0].path, errors[0].value, errors[0].allowed
        self.errors = errors
        lines = [str(error) for error in errors[:MOST_ERRORS]]
        if len(errors) > MOST_ERRORS:
            lines.append(f"and {len(errors) - MOST_ERRORS} more errors")
        FedleakError.__init__(self, "\n".join(lines))


class FederationError(FedleakError):
    """The federation could not continue (no replies, no resources, no engine)."""


class TrackingError(FedleakError):
    """Writing to an experiment tracker failed; the results are still in the run directory."""


class AttackFailedError(FedleakError):
    """One attack could not handle one update; recorded as a failed row, never as a score."""


def as_fedleak_error(error: OSError) -> FedleakError:
    """An error of the operating system, with the path and what to do."""
    path = error.filename if error.filename is not None else error.filename2
    reason = error.strerror or str(error) or type(error).__name__
    name = os.fsdecode(path) if isinstance(path, str | bytes) else str(path)
    if error.errno in WRONG_PATH and path is not None:
        return InputError("path", name, f"{reason}: {WRONG_PATH[error.errno]}")
    advice = f"free some space; {CONTINUE}" if error.errno in FULL else CONTINUE
    return FedleakError(f"{'' if path is None else name + ': '}{reason}; {advice}")


def describe(error: BaseException, limit: int = 300) -> str:
    """The error in one line of at most ``limit`` characters: type and message, or its own words if it is fedleak's."""
    words = " ".join(str(error).split())
    text = words if isinstance(error, FedleakError) else f"{type(error).__name__}: {words}".removesuffix(": ")
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """``did you mean 'x'? ``, or an empty string if no other known word is similar."""
    near = difflib.get_close_matches(word, [each for each in known if each != word], n=1, cutoff=cutoff)
    return f"did you mean {near[0]!r}? " if near else ""


def shorten(value: object, limit: int = 80) -> str:
    """``repr(value)``, cut to ``limit`` characters in the middle, because the end of a path matters.

    Time and memory are bounded by ``limit``: of a large list or mapping only the beginning is looked at, and a part
    that a list holds many times is written no more often than fits.
    """
    pieces: list[str] = []
    length = 0
    for piece in _pieces(value, limit):
        pieces.append(piece)
        length += len(piece)
        if length > 2 * limit + 2:
            return f"{''.join(pieces)[: limit - 3]}..."
    return _cut("".join(pieces), limit)


def _pieces(value: object, limit: int) -> Iterator[str]:
    """``repr(value)`` piece by piece; texts and numbers are cut where ``shorten`` leaves something out anyway."""
    if type(value) in (list, tuple, dict):
        yield from _pieces_of_items(value, limit)
    elif isinstance(value, str) and len(value) > 2 * limit:
        yield repr(value[:limit] + value[-limit:])
    elif isinstance(value, int) and value.bit_length() > 8 * limit:
        yield f"an integer of {value.bit_length()} bits"
    else:
        yield repr(value)


def _pieces_of_items(value: Any, limit: int) -> Iterator[str]:
    brackets = BRACKETS[type(value)]
    yield brackets[0]
    for i, item in enumerate(value):
        if i:
            yield ", "
        yield from _pieces(item, limit)
        if isinstance(value, dict):
            yield ": "
            yield from _pieces(value[item], limit)
    yield ",)" if isinstance(value, tuple) and len(value) == 1 else brackets[1]


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    end = (limit - 3) // 2
    return f"{text[: limit - 3 - end]}...{text[-end:]}"


def one_line(text: str, limit: int = LONGEST_PATH) -> str:
    """A text for a message: without line breaks and control characters, cut in the middle."""
    joined = " ".join(text.split("\n")) if "\n" in text else text
    return _cut("".join(c if c.isprintable() else repr(c)[1:-1] for c in _cut(joined, limit)), limit)


def listed(names: Sequence[str], *, most: int = 5) -> str:
    """Names for a message: the first few, quoted and shortened, and how many more there are."""
    some = ", ".join(shorten(name) for name in names[:most])
    return some if len(names) <= most else f"{some} and {len(names) - most} others"
