"""Errors that fedleak raises on purpose, each with the exit code of the command line."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable

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
        super().__init__(f"{path}: got {shorten(value)}; {allowed}")


class InputErrors(InputError):  # noqa: N818 - the plural is deliberate
    """Several input errors found in one pass, one line each."""

    def __init__(self, errors: list[InputError]) -> None:
        self.errors = errors
        FedleakError.__init__(self, "\n".join(str(error) for error in errors))


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


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """``did you mean 'x'? ``, or an empty string if no known word is similar."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"did you mean {near[0]!r}? " if near else ""


def shorten(value: object, limit: int = 80) -> str:
    """``repr(value)``, cut to ``limit`` characters in the middle, because the end of a path matters."""
    text = repr(value)
    if len(text) <= limit:
        return text
    end = (limit - 3) // 2
    return f"{text[: limit - 3 - end]}...{text[-end:]}"
