"""Errors that fedleak raises on purpose, each with the exit code of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """``did you mean 'x'? ``, or an empty string if no other known word is similar."""
    near = difflib.get_close_matches(word, [each for each in known if each != word], n=1, cutoff=cutoff)
    return f"did you mean {near[0]!r}? " if near else ""


def shorten(value: object, limit: int = 80) -> str:
    """``repr(value)``, cut to ``limit`` characters in the middle, because the end of a path matters."""
    text = repr(value)
    if len(text) <= limit:
        return text
    end = (limit - 3) // 2
    return f"{text[: limit - 3 - end]}...{text[-end:]}"
