"""Code is ended in time, and other alarms go off as they would have."""

from __future__ import annotations

import math
import signal
import threading
import time

import pytest

from fedleak.federation.time_limit import TimeLimitError, time_limit


def spin(seconds: float) -> None:
    """Compute, and take every exception for one's own."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            sum(range(1000))
        except Exception:  # noqa: S112 - what is tested
            continue


@pytest.mark.parametrize("work", [time.sleep, spin])
def test_what_takes_too_long_is_ended(work: object) -> None:
    started = time.monotonic()
    with pytest.raises(TimeLimitError), time_limit(0.1):
        work(60)  # type: ignore[operator]
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("seconds", [30.0, math.inf])
def test_what_ends_in_time_is_left_alone(seconds: float) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(seconds):
        done = True
    assert done
    assert signal.getsignal(signal.SIGALRM) == before


def test_an_alarm_that_someone_has_set_still_goes_off() -> None:
    rung = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    others = signal.setitimer(signal.ITIMER_REAL, 0.5)  # such as that of pytest-timeout
    try:
        with time_limit(30):
            pass
        left = signal.getitimer(signal.ITIMER_REAL)[0]
        assert 0 < left <= 0.5
        with pytest.raises(TimeLimitError), time_limit(0.05):
            time.sleep(60)
        time.sleep(0.6)
        assert rung == [True]
    finally:
        signal.setitimer(signal.ITIMER_REAL, *others)
        signal.signal(signal.SIGALRM, handler)


def test_in_a_thread_it_is_told_afterwards() -> None:
    outcome: list[str] = []

    def work() -> None:
        try:
            with time_limit(0.05):
                time.sleep(0.2)
        except TimeLimitError:
            outcome.append("late")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcome == ["late"]
