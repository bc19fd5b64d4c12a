"""Errors that fedleak raises on purpose, each with the exit code of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FedleakError(Exception):
    """A run that could not be finished; the run directory can be resumed (exit code 1)."""

    exit_code = 1


class InputError(FedleakError):
    """Something the user wrote is wrong; nothing has been run or written (exit code 2).

    Args:
        path: the YAML path or command-line option at fault, e.g. ``federation.clients``.
        value: what was found there.
        allowed: what would have been accepted, in words.
    """

    exit_code = 2

    def __init__(self, path: str, value: object, allowed: str) -> None:
        self.path, self.value, self.allowed = path, value, allowed
        super().__init__(f"{path}: got {shorten(value)}; {allowed}")


class InputErrors(InputError):  # noqa: N818 - several of them
    """Several input errors found in one pass, one line each."""

    def __init__(self, errors: list[InputError]) -> None:
        self.errors = errors
        FedleakError.__init__(self, "\n".join(str(error) for error in errors))


class FederationError(FedleakError):
    """The federation could not go on (no replies, no resources, no engine)."""


class TrackingError(FedleakError):
    """A tracker could not be written to; what it was to log is safe in the run directory."""


class AttackFailedError(FedleakError):
    """One attack could not handle one update; recorded as a failed row, never as a score."""


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """``did you mean 'x'? ``, or nothing where no known word is similar."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"did you mean {near[0]!r}? " if near else ""


def shorten(value: object, limit: int = 80) -> str:
    """``repr(value)``, cut to ``limit`` characters in its middle: a path is known by its end."""
    text = repr(value)
    if len(text) <= limit:
        return text
    end = (limit - 3) // 2
    return f"{text[: limit - 3 - end]}...{text[-end:]}"
