from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedleak.results.estimates import SeedSample, cluster_weights, estimate, mean_interval, seed_weights, summarise


def sample(values: list[float], *, seed: int = 0, group: str = "g", updates: list[int] | None = None) -> SeedSample:
    clusters = np.array(updates, dtype=np.int64) if updates is not None else None
    return SeedSample(seed, group, np.array(values), clusters)


def test_the_mean_is_over_seeds_of_means_over_images() -> None:
    found = summarise([sample([1, 3]), sample([10, 10, 10, 10], seed=1, group="h")])
    assert found is not None
    assert found.mean == 6.0


def test_one_seed_of_single_images_gives_students_interval() -> None:
    values = np.random.default_rng(0).normal(size=20)
    found = summarise([SeedSample(0, "g", values)])
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert found is not None
    assert (found.interval.low, found.interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_updates_of_one_size_give_students_interval_of_their_means() -> None:
    values = np.random.default_rng(0).normal(size=(6, 4))
    found = mean_interval(values.ravel().tolist(), np.repeat(np.arange(6), 4).tolist())
    expected = stats.ttest_1samp(values.mean(axis=1), 0).confidence_interval()
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_three_seeds_give_students_interval_of_their_means() -> None:
    seeds = [np.random.default_rng(seed).normal(seed, 1, size=10) for seed in range(3)]
    found = summarise([SeedSample(i, f"g{i}", values) for i, values in enumerate(seeds)])
    expected = stats.ttest_1samp([values.mean() for values in seeds], 0).confidence_interval()
    assert found is not None
    assert found.units == 3
    assert (found.interval.low, found.interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_two_seeds_are_strata_of_updates() -> None:
    """Standard errors of independent means add in squares; the interval says nothing of other seeds."""
    one, other = (np.random.default_rng(seed).normal(seed, 1, size=8) for seed in range(2))
    found = summarise([SeedSample(0, "g", one), SeedSample(1, "h", other)])
    assert found is not None
    assert found.units == 15
    assert found.error == pytest.approx(np.sqrt(one.var(ddof=1) / 8 + other.var(ddof=1) / 8) / 2)


def test_the_same_images_are_drawn_together() -> None:
    values = np.random.default_rng(0).normal(size=30)
    one, other = (estimate([SeedSample(0, "g", v)], resamples=300) for v in (values, values + 0.1))
    assert one is not None
    assert other is not None
    assert one.draws is not None
    assert other.draws is not None
    assert np.allclose(other.draws - one.draws, 0.1)
    assert one.draws.std() == pytest.approx(one.summary.error)


def test_images_without_a_value_are_left_out() -> None:
    found = estimate([sample([1.0, np.nan, 3.0, 2.0, 2.5, 1.5])], resamples=100)
    assert found is not None
    assert found.draws is not None
    assert found.mean == 2.0
    assert np.isfinite(found.draws).all()


@pytest.mark.parametrize(
    ("values", "updates"),
    [([2.0], [0]), ([1.0, 2.0, 3.0, 4.0], [0, 1, 2, 3]), ([1.0, 2, 3, 4, 5, 6, 7, 8], [0] * 4 + [1] * 4)],
    ids=["one image", "four images", "two updates"],
)
def test_few_images_or_updates_have_no_interval(values: list[float], updates: list[int]) -> None:
    assert estimate([sample([np.nan])], resamples=10) is None
    found = estimate([sample(values, updates=updates)], resamples=10)
    assert found is not None
    assert found.draws is None
    assert found.summary.interval.low is None


def test_an_accuracy_has_the_binomial_interval_of_its_test_images() -> None:
    found = summarise([SeedSample(0, "g", np.array([0.5105]), trials=4000)])
    assert found is not None
    assert found.interval.low == pytest.approx(0.495, abs=5e-4)
    assert found.interval.high == pytest.approx(0.526, abs=5e-4)


def test_a_number_of_a_whole_run_needs_three_runs() -> None:
    one = [SeedSample(i, "g", np.array([v])) for i, v in enumerate([1.0, 2.0, 4.0])]
    two, three = summarise(one[:2]), summarise(one)
    assert two is not None
    assert three is not None
    assert two.interval.low is None
    assert three.interval.low is not None


def test_images_that_all_leak_do_not_prove_that_all_do() -> None:
    found = summarise([sample([1.0] * 8)])
    assert found is not None
    assert found.interval.low is not None
    assert 0.6 < found.interval.low < 0.9
    assert found.interval.high == 1.0


@given(st.integers(1, 20), st.integers(1, 30))
def test_each_resample_draws_as_many_updates_as_there_are(updates: int, resamples: int) -> None:
    weights = cluster_weights("g", updates, resamples)
    assert weights.shape == (resamples, updates)
    assert (weights.sum(axis=1) == updates).all()


@given(st.integers(2, 6))
def test_each_resample_draws_as_many_seeds_as_there_are(seeds: int) -> None:
    assert (seed_weights(tuple(range(seeds)), 20).sum(axis=1) == seeds).all()


def test_the_same_images_under_two_seeds_are_no_further_images() -> None:
    values = np.random.default_rng(0).normal(size=20)
    one = summarise([SeedSample(0, "g", values)])
    both = summarise([SeedSample(0, "g", values), SeedSample(1, "g", values)])
    assert one is not None
    assert both is not None
    assert (both.error, both.units) == (pytest.approx(one.error), one.units)
