"""Claim that two metrics correlate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field
from scipy import stats
from scipy.stats import rankdata

from fedleak.results.estimates import ALPHA, Floats
from fedleak.studies.claims.base import DECIDED, Claim, ClaimCheck, above_zero, missing, together
from fedleak.studies.matrix import axis_name
from fedleak.studies.measurements import AttackPlace, Measurements

FEWEST = 3


class Correlates(Claim):
    """Claims that two metrics have a rank correlation (Spearman), for every attack.

    It is computed over all points of the matrix, or over one axis, separately for each point of the other axes. Its
    interval resamples these points, too, and the correlation must be unlikely by chance in so few points.
    """

    kind: Literal["correlates"] = "correlates"
    x: str
    """The first metric."""
    y: str
    """The second metric."""
    direction: Literal["positive", "negative"] = "positive"
    """Sign of the correlation."""
    stronger_than: float = Field(default=0.0, ge=0, lt=1)
    """Number between 0 and 1 that the magnitude of the correlation must exceed."""
    along: str | None = None
    """The axis over which it is computed; all axes by default."""

    def statement(self) -> str:
        """The claim in words."""
        beyond = f" beyond {self.stronger_than:g}" if self.stronger_than else ""
        over = f" along {self.along}" if self.along else ""
        return f"{self.x} and {self.y} correlate {self.direction}ly{beyond}{over}"

    def axis(self) -> str | None:
        """The axis over which it is computed, if only one."""
        return self.along

    def measures(self) -> Mapping[str, str]:
        """Both metrics."""
        return {"x": self.x, "y": self.y}

    def check(self, measured: Measurements) -> list[ClaimCheck]:
        """One check per attack, or per attack and point of the other axes."""
        over = measured.axes if self.along is None else [axis_name(self.along, measured.axes) or self.along]
        lines: dict[AttackPlace, list[AttackPlace]] = {}
        for place in measured.places(self.where):
            lines.setdefault(place.without(over), []).append(place)
        return [self._line(measured, measured.describe(rest), places) for rest, places in lines.items()]

    def _line(self, measured: Measurements, name: str, places: list[AttackPlace]) -> ClaimCheck:
        label = f"{name}: {self.x} and {self.y}"
        both = [(measured.estimate(p, self.x), measured.estimate(p, self.y)) for p in places]
        pairs = [(x, y) for x, y in both if x is not None and y is not None]
        if len(pairs) < FEWEST:
            return missing(f"{self.x} and {self.y} of {name} at {FEWEST} points or more", label)
        sign = 1 if self.direction == "positive" else -1
        x, y = (np.array([[e.mean for e in column]]) for column in zip(*pairs, strict=True))
        value = sign * float(spearman(x, y)[0]) - self.stronger_than
        draws, units = together(*(side for pair in pairs for side in pair))
        if draws is None:
            return above_zero(label, value, None, units)
        drawn = sign * _resampled(np.stack(draws[::2], axis=1), np.stack(draws[1::2], axis=1)) - self.stronger_than
        check = above_zero(label, value, drawn, min(units, len(pairs)))
        if check.state == "reproduced" or value + self.stronger_than < 0:  # it rests on a correlation, of either sign
            check = _beyond_chance(check, x[0], y[0])
        for metric in (self.x, self.y):
            check = self.gated(check, measured, metric, places)
        return check


def _resampled(x: Floats, y: Floats) -> Floats:
    """Correlations of draws ``(R, P)`` over P resampled points of the axis, so that a few points are not certain."""
    picked = np.random.default_rng(len(x)).integers(x.shape[1], size=x.shape)
    return spearman(*(np.take_along_axis(column, picked, axis=1) for column in (x, y)))


def _beyond_chance(check: ClaimCheck, x: Floats, y: Floats) -> ClaimCheck:
    """The check; inconclusive if as strong a correlation of so many points is likely by chance (permutation test)."""
    chance = chance_of_correlation(x, y)
    least = max(check.p or 0.0, chance)
    if check.state not in DECIDED or chance < ALPHA:
        return check.model_copy(update={"p": least})
    hint = f"more points: as strong a correlation of {len(x)} points has a probability of {chance:.2g} by chance"
    return check.model_copy(update={"p": least, "state": "inconclusive", "hint": hint})


def chance_of_correlation(x: Floats, y: Floats) -> float:
    """Two-sided p-value of Spearman's correlation by permutation: exact up to seven points, else 9,999 permutations."""
    found = stats.permutation_test(
        (x,),
        lambda permuted, axis: spearman(np.moveaxis(permuted, axis, -1).reshape(-1, len(x)), y[None]),
        permutation_type="pairings",
        n_resamples=9999,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def spearman(x: Floats, y: Floats) -> Floats:
    """Rank correlation of each row of ``(R, n)`` with the same row of ``y``; 0 where a side is constant."""
    ranks = [rankdata(values, axis=1) for values in (x, y)]
    left, right = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    size = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    product = (left * right).sum(axis=1)
    correlation: Floats = np.divide(product, size, out=np.zeros(len(product)), where=size > 0)
    return correlation
