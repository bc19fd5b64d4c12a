"""Every schedule keeps the learning rate positive and never above its full size."""

from __future__ import annotations

import pytest

from fedleak.client.schedule.base import Schedule
from fedleak.families import kinds
from tests.builders import with_required


@pytest.mark.parametrize("steps", [1, 2, 9])
@pytest.mark.parametrize("kind", list(kinds("schedule")))
def test_factors_are_shares(kind: str, steps: int) -> None:
    cls = kinds("schedule")[kind]
    assert issubclass(cls, Schedule)
    schedule = with_required(cls)
    factors = [schedule.factor(step, steps=steps) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
