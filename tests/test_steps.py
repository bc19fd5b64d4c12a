from __future__ import annotations

import pytest

from fedleak import steps
from fedleak.steps import StepReport, Steps, listening


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in a list to be changed."""
    now = [0.0]
    monkeypatch.setattr("fedleak.steps.time.monotonic", lambda: now[0])
    return now


def test_reports_come_now_and_then_with_the_time_left(clock: list[float]) -> None:
    reports: list[StepReport] = []
    with listening(reports.append):
        loop = Steps("iteration", 100, measure="loss")
    for done in range(1, 11):
        clock[0] += 0.2
        loop.done(done, lambda: 0.25)
    assert [report.done for report in reports] == [3, 6, 9]
    assert reports[0] == StepReport("iteration", 3, 100, "loss", 0.25, pytest.approx(0.2 * 97))


def test_without_a_listener_no_value_is_looked_at(clock: list[float]) -> None:
    def value() -> float:
        raise AssertionError("it may wait for a GPU")

    loop = Steps("iteration", 10, measure="loss")
    clock[0] += 100
    loop.done(1, value)


def test_the_listener_is_that_of_the_block() -> None:
    with listening(lambda report: None):
        assert steps._LISTENER.get() is not None
    assert steps._LISTENER.get() is None
