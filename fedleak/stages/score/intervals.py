"""Means with bootstrap confidence intervals."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from scipy import stats

from fedleak import seeds
from fedleak.results.schema import Interval


def mean_interval(values: Sequence[float], *, resamples: int, seed: int) -> Interval | None:
    """Mean and 95 % percentile bootstrap interval over images; None for no values.

    Method of Efron & Tibshirani 1993, by ``scipy.stats.bootstrap``.
    """
    data = np.asarray(values, dtype=np.float64)
    if len(data) == 0:
        return None
    mean = float(data.mean())
    if len(data) < 2:
        return Interval(mean=mean)
    if np.ptp(data) == 0:
        return Interval(mean=mean, low=mean, high=mean)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = stats.bootstrap(
            (data,),
            np.mean,
            n_resamples=resamples,
            batch=max(1, 2**22 // len(data)),
            method="percentile",
            rng=seeds.numpy_generator(seed, "bootstrap", len(data)),
        )
    interval = result.confidence_interval
    return Interval(mean=mean, low=float(interval.low), high=float(interval.high))
