from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedleak.results.schema import Interval
from fedleak.stages.score.intervals import mean_interval


def test_no_values_have_no_interval() -> None:
    assert mean_interval([], resamples=100, seed=0) is None


def test_one_value_has_a_mean_and_no_bounds() -> None:
    assert mean_interval([0.3], resamples=100, seed=0) == Interval(mean=0.3)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert mean_interval([0.25] * 5, resamples=100, seed=0) == Interval(mean=0.25, low=0.25, high=0.25)


def test_two_values_by_hand() -> None:
    """Resampled means are 0, 1/2 and 1 with probabilities 1/4, 1/2, 1/4: both tails exceed 2.5 %."""
    assert mean_interval([0.0, 1.0], resamples=1000, seed=0) == Interval(mean=0.5, low=0.0, high=1.0)


def test_six_coin_flips_by_hand() -> None:
    """Means of six draws from {0, 1}: P(0) = 1.6 % < 2.5 % < P(0 or 1/6) = 10.9 %, so the bounds are 1/6 and 5/6."""
    interval = mean_interval([0, 0, 0, 1, 1, 1], resamples=20000, seed=0)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((1 / 6, 5 / 6))


def test_equals_a_naive_bootstrap() -> None:
    draw = np.random.default_rng(0)
    values = draw.gamma(2.0, size=40)
    means = sorted(values[draw.integers(0, 40, 40)].mean() for _ in range(20000))
    interval = mean_interval(values.tolist(), resamples=20000, seed=1)
    assert interval is not None
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(means[500], abs=0.02 * values.std())
    assert interval.high == pytest.approx(means[19500], abs=0.02 * values.std())


def test_many_values_approach_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(size=400)
    interval = mean_interval(values.tolist(), resamples=5000, seed=0)
    assert interval is not None
    assert interval.high is not None
    assert interval.high - interval.mean == pytest.approx(1.96 * values.std() / 20, rel=0.06)


@settings(max_examples=30)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=20), st.integers(0, 3))
def test_bounds_enclose_the_mean_and_lie_within_the_values(values: list[float], seed: int) -> None:
    interval = mean_interval(values, resamples=200, seed=seed)
    assert interval is not None
    assert interval.low is not None
    assert interval.high is not None
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9


def test_seed_decides() -> None:
    values = np.random.default_rng(0).random(30).tolist()
    first, again, other = (mean_interval(values, resamples=200, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
