"""How often the nominal 95 % intervals contain the true mean, by simulation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from fedleak.results.estimates import SeedSample, summarise

RUNS = 4000
Draw = Callable[[np.random.Generator], list[SeedSample]]


def updates(rng: np.random.Generator, count: int, images: int, correlation: float, *, seed: int = 0) -> SeedSample:
    """Normal values of variance 1 around 0, or around a seed's own mean, with correlation within an update."""
    shared = rng.normal(size=(count, 1)) * np.sqrt(correlation)
    own = rng.normal(size=(count, images)) * np.sqrt(1 - correlation)
    return SeedSample(seed, f"g{seed}", (shared + own).ravel(), np.repeat(np.arange(count), images))


def seeds_that_differ(rng: np.random.Generator) -> list[SeedSample]:
    found = []
    for seed in range(3):
        sample = updates(rng, 16, 1, 0, seed=seed)
        found.append(SeedSample(seed, sample.group, sample.values + rng.normal(), sample.clusters))
    return found


SITUATIONS: dict[str, Draw] = {
    "three seeds that differ": seeds_that_differ,
    "three seeds that do not": lambda rng: [updates(rng, 16, 1, 0, seed=seed) for seed in range(3)],
    "8 updates of 4, correlation .3": lambda rng: [updates(rng, 8, 4, 0.3)],
    "8 updates of 4, correlation .6": lambda rng: [updates(rng, 8, 4, 0.6)],
    "8 updates of 8, correlation .3": lambda rng: [updates(rng, 8, 8, 0.3)],
    "8 updates of 8, correlation .6": lambda rng: [updates(rng, 8, 8, 0.6)],
    "two seeds of 8 updates of 4": lambda rng: [updates(rng, 8, 4, 0.3, seed=seed) for seed in range(2)],
    "one seed, 5 images": lambda rng: [updates(rng, 5, 1, 0)],
    "one seed, 8 images": lambda rng: [updates(rng, 8, 1, 0)],
}


def covered(draw: Draw, truth: float, runs: int) -> float:
    rng, hits = np.random.default_rng(0), 0
    for _ in range(runs):
        found = summarise(draw(rng))
        assert found is not None
        interval = found.interval
        assert interval.low is not None
        assert interval.high is not None
        hits += interval.low <= truth <= interval.high
    return hits / runs


@pytest.mark.slow
@pytest.mark.parametrize("situation", SITUATIONS)
def test_intervals_hold_in_every_situation(situation: str) -> None:
    assert covered(SITUATIONS[situation], 0.0, RUNS) >= 0.93


@pytest.mark.parametrize("rate", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("images", [8, 16, 64])
def test_intervals_of_rates_hold(rate: float, images: int) -> None:
    """The exact probability; as hits are whole numbers it cannot be 0.95 everywhere (16 images, rate 0.5: 0.923)."""
    probability = 0.0
    for hits in range(images + 1):
        found = summarise([SeedSample(0, "g", np.array([1.0] * hits + [0.0] * (images - hits)))])
        assert found is not None
        assert found.interval.low is not None
        assert found.interval.high is not None
        if found.interval.low <= rate <= found.interval.high:
            probability += float(binom.pmf(hits, images, rate))
    assert probability >= 0.92


def test_the_worst_situation_holds_in_few_runs() -> None:
    """The quick version of the simulation: the plain bootstrap covers 58 % here."""
    assert covered(SITUATIONS["8 updates of 8, correlation .6"], 0.0, 400) >= 0.92
