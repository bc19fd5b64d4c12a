"""Reports from long loops inside one piece of work, such as an attack's iterations, to whoever shows progress.

A loop does not know who listens: without a listener it reports nothing. Reports change no result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

SECONDS = 0.5
"""Least time between two reports of one loop; the value of the first step is not looked at before."""


@dataclass(frozen=True)
class StepReport:
    """How far a loop is.

    Attributes:
        what: the kind of step, such as ``iteration``.
        done, total: steps done and planned; a loop may end earlier.
        measure: name of ``value``, such as ``matching loss``.
        value: the latest value of it.
        seconds_left: estimated from the mean pace so far.
    """

    what: str
    done: int
    total: int
    measure: str
    value: float
    seconds_left: float


Listener = Callable[[StepReport], None]
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send the reports of loops inside the block to ``listener``."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


class Steps:
    """The steps of one loop.

    Args:
        what, total, measure: as in ``StepReport``.
        first: steps that were done before, by an earlier process.
    """

    def __init__(self, what: str, total: int, *, measure: str, first: int = 0) -> None:
        self._what, self._total, self._measure, self._first = what, total, measure, first
        self._listener, self._begun = _LISTENER.get(), time.monotonic()
        self._due = self._begun + SECONDS

    def done(self, steps: int, value: Callable[[], float]) -> None:
        """Report that ``steps`` are done, if it is time; only then ``value`` is called, since it may wait for a GPU."""
        if self._listener is None or (now := time.monotonic()) < self._due:
            return
        self._due = now + SECONDS
        left = (now - self._begun) / (steps - self._first) * (self._total - steps)
        self._listener(StepReport(self._what, steps, self._total, self._measure, value(), left))
