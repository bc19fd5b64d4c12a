from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from fedleak.server.staleness.uniform import Uniform
from tests.server.staleness.draws import lags


def test_every_lag_is_as_likely() -> None:
    counts = np.bincount(lags(Uniform(min=1, max=4)).ravel(), minlength=6)
    assert counts[0] == counts[5] == 0
    assert counts[1:5] == pytest.approx(300, abs=75)  # five standard deviations


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValidationError, match="min 3 is above max 2"):
        Uniform(min=3, max=2)
