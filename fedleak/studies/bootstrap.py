"""Bootstrap over seeds and images (two levels: Davison & Hinkley 1997, section 3.8). Torch-free."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedleak.results.schema import Interval

Floats = NDArray[np.float64]
ALPHA = 0.05


@dataclass(frozen=True)
class SeedSample:
    """The values of one metric under one seed.

    Attributes:
        seed: seed of the scenario.
        group: name of the set of victims' images. Samples of one group are values of the same images and are
            resampled together, so differences between them are paired.
        values: one per image of the group, ``(n,)``; NaN where an image has no value.
    """

    seed: int
    group: str
    values: Floats


@dataclass(frozen=True)
class Estimate:
    """A mean, and its bootstrap means ``draws`` ``(R,)``."""

    mean: float
    draws: Floats
    images: int
    seeds: int

    @property
    def interval(self) -> Interval:
        """The 95 % percentile interval; without bounds for fewer than two images."""
        if self.images < 2:
            return Interval(mean=self.mean)
        low, high = limits(self.draws)
        return Interval(mean=self.mean, low=low, high=high)


def estimate(samples: Sequence[SeedSample], *, resamples: int) -> Estimate | None:
    """The mean over seeds of the means over images; None if there are no values.

    Seeds are resampled first, then the images of each; with one seed the interval is over images only.
    """
    samples = [s for s in samples if np.isfinite(s.values).any()]
    if not samples:
        return None
    means = np.array([np.nanmean(s.values) for s in samples])
    draws = np.stack([_image_draws(s, resamples) for s in samples], axis=1)
    weights = seed_weights(tuple(s.seed for s in samples), resamples)
    return Estimate(
        mean=float(means.mean()),
        draws=(weights * draws).sum(axis=1) / weights.sum(axis=1),
        images=sum(int(np.isfinite(s.values).sum()) for s in samples),
        seeds=len(samples),
    )


def _image_draws(sample: SeedSample, resamples: int) -> Floats:
    present = np.isfinite(sample.values)
    weights = image_weights(sample.group, len(sample.values), resamples)
    if present.all():  # the usual case, without a copy of the weights
        usual: Floats = weights @ sample.values / len(sample.values)
        return usual
    weights = weights[:, present]
    total = weights.sum(axis=1)
    drawn = weights @ sample.values[present]
    means: Floats = np.divide(drawn, total, out=np.full(resamples, sample.values[present].mean()), where=total > 0)
    return means


@lru_cache(maxsize=16)
def image_weights(group: str, images: int, resamples: int) -> Floats:
    """How often each image of a group is drawn in each resample, ``(R, n)``; the same on every call."""
    generator = _generator("images", group, images)
    drawn = generator.integers(images, size=(resamples, images))
    flat = drawn + images * np.arange(resamples)[:, None]
    counts = np.bincount(flat.ravel(), minlength=resamples * images)
    return counts.reshape(resamples, images).astype(np.float64)


@lru_cache(maxsize=32)
def seed_weights(seeds: tuple[int, ...], resamples: int) -> Floats:
    """How often each seed is drawn in each resample, ``(R, S)``; the same on every call."""
    if len(seeds) == 1:
        return np.ones((resamples, 1))
    generator = _generator("seeds", *seeds)
    return generator.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size=resamples).astype(np.float64)


def limits(draws: Floats) -> tuple[float, float]:
    """The middle 95 % of the draws."""
    low, high = np.quantile(draws, (ALPHA / 2, 1 - ALPHA / 2))
    return float(low), float(high)


def _generator(*name: object) -> np.random.Generator:
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
