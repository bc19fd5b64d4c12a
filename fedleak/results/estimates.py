"""Means of scores, and intervals that hold with few seeds, few updates and correlated images. Torch-free.

Images of one update are correlated, and so are all values of one seed. The interval is therefore that of a mean of
independent units: with three seeds or more, the seeds; else the updates, within each seed. It is Student's t interval
of a weighted mean of clusters (Cochran 1977, "Sampling Techniques", section 9A; the plain bootstrap is too narrow with
few units: Davison & Hinkley 1997, section 2.3). Draws of the mean, shared by values of the same images, carry the
pairing of two values into functions of several means; they are scaled to the same standard error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fedleak.results.schema import Interval

Floats = NDArray[np.float64]
ALPHA = 0.05
FEWEST_IMAGES = 5
"""With fewer images there is no interval."""
FEWEST_UNITS = 3
"""With fewer independent units (seeds or updates) there is no interval."""


@dataclass(frozen=True)
class SeedSample:
    """The values of one metric under one seed.

    Attributes:
        seed: seed of the scenario.
        group: name of the set of victims' images. Samples of one group are values of the same images and are
            resampled together, so differences between them are paired.
        values: one per image of the group, ``(n,)``; NaN where an image has no value.
        clusters: update of each image, ``(n,)`` in 0, 1, ...; by default each image is one of its own.
        trials: for a rate of the whole run, such as test accuracy: number of trials behind it; ``values`` is the one
            rate then. None for values of images.
    """

    seed: int
    group: str
    values: Floats
    clusters: NDArray[np.int64] | None = None
    trials: int | None = None

    @property
    def mean(self) -> float:
        """Mean over the images that have a value."""
        return float(np.nanmean(self.values))


@dataclass(frozen=True)
class Summary:
    """A mean over seeds of means over images, with its standard error.

    Attributes:
        error: None if there are too few images or units.
        units: number of independent units behind the standard error: seeds, updates, or trials.
        rate: whether all values lie in [0, 1] by definition.
    """

    mean: float
    error: float | None
    units: int
    rate: bool

    @property
    def interval(self) -> Interval:
        """The 95 % interval; without bounds if there are too few images or units."""
        if self.error is None:
            return Interval(mean=self.mean)
        reach = student_quantile(self.units) * self.error
        low, high = self.mean - reach, self.mean + reach
        if self.rate:
            low, high = max(0.0, low), min(1.0, high)
        return Interval(mean=self.mean, low=low, high=high)


@dataclass(frozen=True)
class Estimate:
    """A summary, and draws of the mean ``(R,)`` with its standard error; None if there is no interval."""

    summary: Summary
    draws: Floats | None

    @property
    def mean(self) -> float:
        """The mean."""
        return self.summary.mean

    @property
    def units(self) -> int:
        """Number of independent units."""
        return self.summary.units

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the summary."""
        return self.summary.interval


def student_quantile(units: int) -> float:
    """Half the width of the 95 % interval in standard errors."""
    return float(stats.t.ppf(1 - ALPHA / 2, units - 1))


def mean_interval(values: Sequence[float], clusters: Sequence[object]) -> Interval | None:
    """Mean and interval of the values of one run; None for no values.

    Args:
        clusters: the update that each value belongs to.
    """
    numbers = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    own = np.array([numbers[cluster] for cluster in clusters], dtype=np.int64)
    found = summarise([SeedSample(0, "", np.asarray(values, dtype=np.float64), own)])
    return found.interval if found is not None else None


def estimate(samples: Sequence[SeedSample], *, resamples: int) -> Estimate | None:
    """The mean with draws of it; None if there are no values.

    Args:
        samples: one per seed.
        resamples: number of draws.
    """
    samples = _with_values(samples)
    summary = summarise(samples)
    if summary is None or summary.error is None:
        return Estimate(summary, None) if summary is not None else None
    return Estimate(summary, _scaled(_draws(samples, resamples), summary.mean, summary.error, samples))


def summarise(samples: Sequence[SeedSample]) -> Summary | None:
    """Mean and standard error over seeds, updates and images; None if there are no values."""
    samples = _with_values(samples)
    if not samples:
        return None
    images = sum(int(np.isfinite(s.values).sum()) for s in samples)
    whole_run = any(s.trials is not None for s in samples)
    rate = whole_run or _is_binary(samples)
    error, units = _error(samples, rate=rate)
    enough = units >= FEWEST_UNITS and (whole_run or images >= FEWEST_IMAGES or len(samples) >= FEWEST_UNITS)
    mean = float(np.mean([s.mean for s in samples]))
    return Summary(mean, error if enough else None, units, rate)


def _with_values(samples: Sequence[SeedSample]) -> list[SeedSample]:
    return [s for s in samples if np.isfinite(s.values).any()]


class _Sums:
    """Sum and number of values of each update with values."""

    def __init__(self, totals: Floats, counts: Floats) -> None:
        self.totals, self.counts = totals, counts

    def residual_variance(self) -> float:
        """Variance of the mean, linearised for updates of different size; 0 for one update."""
        k, n = int((self.counts > 0).sum()), self.counts.sum()
        residuals = self.totals - self.counts * (self.totals.sum() / n)
        return float(k / (k - 1) * (residuals**2).sum() / n**2) if k > 1 else 0.0


def _sums(sample: SeedSample) -> _Sums:
    clusters = np.arange(len(sample.values)) if sample.clusters is None else sample.clusters
    present = np.isfinite(sample.values)
    size = int(clusters.max()) + 1
    counts = np.bincount(clusters[present], minlength=size).astype(np.float64)
    totals = np.bincount(clusters[present], sample.values[present], minlength=size).astype(np.float64)
    return _Sums(totals, counts)


def _by_group(samples: Sequence[SeedSample]) -> list[SeedSample]:
    """One sample for each set of images: values of the same images under several seeds are averaged."""
    groups: dict[str, list[SeedSample]] = {}
    for sample in samples:
        groups.setdefault(sample.group, []).append(sample)
    return [
        replace(some[0], values=np.nanmean([s.values for s in some], axis=0)) if len(some) > 1 else some[0]
        for some in groups.values()
    ]


def _is_binary(samples: Sequence[SeedSample]) -> bool:
    return all(np.isin(s.values[np.isfinite(s.values)], (0.0, 1.0)).all() for s in samples)


def _error(samples: Sequence[SeedSample], *, rate: bool) -> tuple[float | None, int]:
    """Standard error of the mean, and the number of units that it is taken from."""
    means, seeds, trials = np.array([s.mean for s in samples]), len(samples), [s.trials for s in samples]
    parts = [_sums(s) for s in _by_group(samples)]
    clusters = sum(int((p.counts > 0).sum()) for p in parts)
    if seeds >= FEWEST_UNITS:
        error, units = float(means.std(ddof=1) / np.sqrt(seeds)), seeds
    elif all(t is not None for t in trials):
        variances = [m * (1 - m) / t for m, t in zip(means, trials, strict=True) if t]
        error, units = float(np.sqrt(sum(variances)) / seeds), sum(t or 0 for t in trials)
    else:
        error = float(np.sqrt(sum(p.residual_variance() for p in parts)) / len(parts))
        units = clusters - len(parts) + 1
    if rate:
        error = max(error, _error_of_rate(float(means.mean()), sum(t or 0 for t in trials) or clusters))
    return error, units


def _error_of_rate(mean: float, count: int) -> float:
    """Least standard error of a rate, also if all values agree: that of the posterior under a uniform prior."""
    shrunk = (count * mean + 1) / (count + 2)
    return float(np.sqrt(shrunk * (1 - shrunk) / (count + 3)))


def _draws(samples: Sequence[SeedSample], resamples: int) -> Floats:
    """Resampled means: of seeds if there are enough, else of updates within each seed."""
    if len(samples) >= FEWEST_UNITS:
        means = np.array([s.mean for s in samples])
        of_seeds: Floats = seed_weights(tuple(s.seed for s in samples), resamples) @ means / len(samples)
        return of_seeds
    drawn: Floats = np.zeros(resamples, dtype=np.float64)
    for sample in samples:
        sums = _sums(sample)
        weights = cluster_weights(sample.group, len(sums.counts), resamples)
        total = weights @ sums.counts
        means = np.divide(weights @ sums.totals, total, out=np.full(resamples, sample.mean), where=total > 0)
        drawn += means / len(samples)
    return drawn


def _scaled(draws: Floats, mean: float, error: float, samples: Sequence[SeedSample]) -> Floats:
    """The draws around ``mean`` with standard deviation ``error``; normal ones if they do not vary."""
    spread = float(draws.std())
    if spread <= 1e-12 * max(1.0, abs(mean)):
        if error == 0:
            return np.full(len(draws), mean)
        name = "/".join(f"{s.group} {s.seed} {s.mean!r}" for s in samples)
        noise: Floats = _generator("normal", name).standard_normal(len(draws))
        return mean + error * noise
    scaled: Floats = mean + (draws - draws.mean()) * (error / spread)
    return scaled


@lru_cache(maxsize=16)
def cluster_weights(group: str, clusters: int, resamples: int) -> Floats:
    """How often each update of a group is drawn in each resample, ``(R, k)``; the same on every call."""
    generator = _generator("updates", group, clusters)
    drawn = generator.integers(clusters, size=(resamples, clusters))
    flat = drawn + clusters * np.arange(resamples)[:, None]
    counts = np.bincount(flat.ravel(), minlength=resamples * clusters)
    return counts.reshape(resamples, clusters).astype(np.float64)


@lru_cache(maxsize=32)
def seed_weights(seeds: tuple[int, ...], resamples: int) -> Floats:
    """How often each seed is drawn in each resample, ``(R, S)``; the same on every call."""
    generator = _generator("seeds", *seeds)
    return generator.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size=resamples).astype(np.float64)


def _generator(*name: object) -> np.random.Generator:
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
