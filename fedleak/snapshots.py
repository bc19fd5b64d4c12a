"""States of long loops inside one piece of work, such as an attack on one update, so that an interruption loses little.

A loop does not know who keeps its states: without a keeper it starts from the beginning. A loop that goes on from an
earlier state computes what it would have computed in one go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

SECONDS = 20.0
"""Least time between two writes of the states; an interruption writes them as well."""

State = Mapping[str, Any]
"""Nested dictionaries, with texts as keys, and lists of tensors, numbers, booleans, texts and None."""


class Keeper(Protocol):
    """Where the states of the loops of one piece of work are kept."""

    def load(self) -> Mapping[int, State]:
        """The states of an earlier process: the number of the loop -> its last state."""

    def save(self, states: Mapping[int, State]) -> None:
        """Replace what is kept."""


class _PieceOfWork:
    """One piece of work, whose loops are numbered in the order in which they begin."""

    def __init__(self, keeper: Keeper) -> None:
        self.earlier = keeper.load()
        self.loops = 0
        self._keeper, self._next = keeper, time.monotonic() + SECONDS
        self._states: dict[int, Callable[[], State]] = {}

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next

    def reached(self, loop: int, state: Callable[[], State]) -> None:
        self._states[loop] = state
        if self.is_due:
            self.save()
            self._next = time.monotonic() + SECONDS

    def save(self) -> None:
        if self._states:
            self._keeper.save({loop: state() for loop, state in self._states.items()})


_WORK: ContextVar[_PieceOfWork | None] = ContextVar("work", default=None)


@contextmanager
def keeping(keeper: Keeper) -> Iterator[None]:
    """Keep the states of loops that begin inside the block, now and then and when the user interrupts it."""
    work = _PieceOfWork(keeper)
    token = _WORK.set(work)
    try:
        yield
    except KeyboardInterrupt:
        work.save()
        raise
    finally:
        _WORK.reset(token)


class Loop:
    """A loop whose states can be kept; the same work must begin its loops in the same order.

    Attributes:
        earlier: the state that an earlier process reached in this loop; None if there is none.
    """

    def __init__(self) -> None:
        self._work = _WORK.get()
        self.earlier: State | None = None
        if self._work is not None:
            self._number = self._work.loops
            self._work.loops += 1
            self.earlier = self._work.earlier.get(self._number)

    @property
    def is_due(self) -> bool:
        """Whether the next state that is reached will be written; others are only for an interruption."""
        return self._work is not None and self._work.is_due

    def reached(self, state: Callable[[], State]) -> None:
        """Say how the present state is made.

        Args:
            state: called at any time until the next state is reached, and after the loop; what it reads must not change
                in place. The last state of a finished loop must lead to its end at once.
        """
        if self._work is not None:
            self._work.reached(self._number, state)
