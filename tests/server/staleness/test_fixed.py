from __future__ import annotations

from fedleak.server.staleness.fixed import Fixed
from tests.server.staleness.draws import lags


def test_it_is_always_the_same() -> None:
    assert (lags(Fixed(lag=3)) == 3).all()
