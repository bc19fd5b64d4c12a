from __future__ import annotations

from fedleak.client.schedule.constant import Constant
from tests.client.schedule.courses import own_factors


def test_nothing_changes() -> None:
    assert own_factors(Constant(), 4) == [1.0] * 4
