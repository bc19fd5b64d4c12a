from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedleak.studies.bootstrap import SeedSample, estimate, image_weights, seed_weights


def sample(values: list[float], *, seed: int = 0, group: str = "g") -> SeedSample:
    return SeedSample(seed, group, np.array(values))


def test_the_mean_is_over_seeds_of_means_over_images() -> None:
    found = estimate([sample([1, 3]), sample([10, 10, 10, 10], seed=1, group="h")], resamples=50)
    assert found is not None
    assert found.mean == 6.0
    assert (found.images, found.seeds) == (6, 2)


def test_one_seed_gives_the_ordinary_bootstrap_interval() -> None:
    values = np.random.default_rng(0).normal(size=200)
    found = estimate([SeedSample(0, "g", values)], resamples=4000)
    assert found is not None
    half = 1.96 * values.std() / np.sqrt(200)
    assert found.interval.low == pytest.approx(values.mean() - half, abs=0.02)
    assert found.interval.high == pytest.approx(values.mean() + half, abs=0.02)


def test_seeds_that_disagree_widen_the_interval() -> None:
    alike = estimate([sample([1.0, 1.1]), sample([1.0, 1.1], seed=1)], resamples=500)
    apart = estimate([sample([1.0, 1.1]), sample([5.0, 5.1], seed=1)], resamples=500)
    assert alike is not None
    assert apart is not None
    assert np.ptp(alike.draws) < 0.2
    assert np.ptp(apart.draws) > 3.9


def test_the_same_images_are_resampled_together() -> None:
    values = np.random.default_rng(0).normal(size=30)
    one, other = (estimate([SeedSample(0, "g", v)], resamples=300) for v in (values, values + 0.1))
    assert one is not None
    assert other is not None
    assert np.allclose(other.draws - one.draws, 0.1)


def test_images_without_a_value_are_left_out() -> None:
    found = estimate([sample([1.0, np.nan, 3.0])], resamples=100)
    assert found is not None
    assert (found.mean, found.images) == (2.0, 2)
    assert np.isfinite(found.draws).all()


def test_no_value_is_no_estimate_and_one_image_has_no_interval() -> None:
    assert estimate([sample([np.nan])], resamples=10) is None
    found = estimate([sample([2.0])], resamples=10)
    assert found is not None
    assert found.interval.low is None


@given(st.integers(1, 20), st.integers(1, 30))
def test_each_resample_draws_as_many_images_as_there_are(images: int, resamples: int) -> None:
    weights = image_weights("g", images, resamples)
    assert weights.shape == (resamples, images)
    assert (weights.sum(axis=1) == images).all()


@given(st.integers(2, 6))
def test_each_resample_draws_as_many_seeds_as_there_are(seeds: int) -> None:
    assert (seed_weights(tuple(range(seeds)), 20).sum(axis=1) == seeds).all()
