from __future__ import annotations

import numpy as np
import pytest

from fedleak.server.staleness.geometric import Geometric
from tests.server.staleness.draws import lags


def test_each_round_ends_the_wait_with_the_same_probability() -> None:
    drawn = lags(Geometric(p=0.4)).ravel()
    assert drawn.mean() == pytest.approx(0.6 / 0.4, abs=0.25)
    assert (drawn == 0).mean() == pytest.approx(0.4, abs=0.07)
    assert drawn.max() > 6


def test_long_lags_are_cut() -> None:
    whole, cut = lags(Geometric(p=0.2)), lags(Geometric(p=0.2, max=3))
    np.testing.assert_array_equal(cut, np.minimum(whole, 3))
