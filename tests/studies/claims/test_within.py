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


def test_one_bound_suffices_and_none_is_refused() -> None:
    above, below = Within(metric="mse", low=0.8), Within(metric="mse", high=0.8)
    assert (above.judge(MEASURED).state, below.judge(MEASURED).state) == ("reproduced", "not_reproduced")
    assert above.statement() == "mse of every attack is at least 0.8"
    assert below.statement() == "mse of every attack is at most 0.8"
    with pytest.raises(ValidationError, match="expected low, high or both"):
        Within(metric="mse")


def test_a_rate_of_nought_is_decided_by_an_upper_bound_alone() -> None:
    """Eight of eight without success: the binomial error is .09, so a lower bound just below nought decides nothing."""
    measured = measurements([({}, {"theory": {"second_batch": [0.0] * 8}})])
    assert Within(metric="second_batch", low=-0.01, high=0.5).judge(measured).state == "inconclusive"
    (check,) = Within(metric="second_batch", high=0.5).check(measured)
    assert check.state == "reproduced"
    error = np.sqrt(0.1 * 0.9 / 11)  # of the posterior under a uniform prior; drawn, so roughly
    assert check.low == pytest.approx(0.5 - stats.t.ppf(0.975, 7) * error, rel=0.1)


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
