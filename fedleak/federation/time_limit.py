"""A time limit for code that runs in this process."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class TimeLimitError(BaseException):
    """The time is up. Not an ``Exception``, so that the code that is ended does not take it for one of its own."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End the block after ``seconds``; where it cannot be interrupted, such as in a thread, tell when it has ended.

    Raises:
        TimeLimitError: if the block took longer.
    """
    started = time.monotonic()
    with _alarm(seconds):
        yield
    if time.monotonic() - started > seconds:
        raise TimeLimitError


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """An alarm in the main thread of a Unix process; an alarm that someone else has set goes off as it would have."""
    if (
        math.isinf(seconds)
        or not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return
    others = signal.getitimer(signal.ITIMER_REAL)[0]
    if 0 < others <= seconds:
        yield
        return
    handler, started = signal.signal(signal.SIGALRM, _ring), time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if others:
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, others - (time.monotonic() - started)))


def _ring(number: int, frame: FrameType | None) -> NoReturn:
    raise TimeLimitError
