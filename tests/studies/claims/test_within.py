from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from fedleak.studies.claims.base import VerdictState
from fedleak.studies.claims.within import Within
from tests.studies.builders import measurements

MEASURED = measurements([({}, {"a": {"mse": [0.9, 1.1] * 20}})])


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [(0.5, 1.5, "reproduced"), (1.5, 2, "not_reproduced"), (0, 0.5, "not_reproduced"), (1.0, 2, "inconclusive")],
)
def test_by_hand(low: float, high: float, state: VerdictState) -> None:
    assert Within(metric="mse", low=low, high=high).judge(MEASURED).state == state


def test_the_margin_is_the_distance_to_the_nearer_bound() -> None:
    (check,) = Within(metric="mse", low=0.8, high=2).check(MEASURED)
    assert check.value == pytest.approx(0.2)


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValidationError, match="must be below"):
        Within(metric="mse", low=2, high=1)


def test_an_absent_metric_leaves_it_open() -> None:
    assert Within(metric="psnr", low=0, high=1).judge(MEASURED).state == "inconclusive"
    assert Within(metric="psnr", low=0, high=1).statement() == "psnr of every attack lies between 0 and 1"


def test_the_whole_interval_of_the_mean_must_lie_inside() -> None:
    """In the middle of a band of 1.3 standard errors the distances to both bounds vary together: nothing is decided."""
    values = np.array([-1.0, 1.0] * 20) / np.sqrt(39)  # mean 0, standard error 1 / sqrt(40) * 40 / 39
    error = float(values.std(ddof=1) / np.sqrt(40))
    measured = measurements([({}, {"a": {"mse": values.tolist()}})])
    (narrow,) = Within(metric="mse", low=-1.3 * error, high=1.3 * error).check(measured)
    (wide,) = Within(metric="mse", low=-2.5 * error, high=2.5 * error).check(measured)
    assert (narrow.state, wide.state) == ("inconclusive", "reproduced")
    assert narrow.p == pytest.approx(2 * stats.t.sf(1.3, 39), rel=0.01)
