"""Claim that two metrics correlate."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field
from scipy.stats import rankdata

from fedleak.studies.bootstrap import Floats
from fedleak.studies.claims.base import Claim, ClaimCheck, above_zero, missing
from fedleak.studies.matrix import axis_name
from fedleak.studies.measurements import AttackPlace, Measurements

FEWEST = 3


class Correlates(Claim):
    """Claims that two metrics have a rank correlation (Spearman), for every attack.

    It is computed over all points of the matrix, or over one axis, separately for each point of the other axes.
    """

    kind: Literal["correlates"] = "correlates"
    x: str
    """The first metric."""
    y: str
    """The second metric."""
    direction: Literal["positive", "negative"] = "positive"
    """Sign of the correlation."""
    stronger_than: float = Field(default=0.0, ge=0, lt=1)
    """Magnitude that the correlation must exceed."""
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
        if any(e.images < 2 for pair in pairs for e in pair):
            return above_zero(label, value, None)
        draws_x, draws_y = (np.stack([e.draws for e in column], axis=1) for column in zip(*pairs, strict=True))
        return above_zero(label, value, sign * spearman(draws_x, draws_y) - self.stronger_than)


def spearman(x: Floats, y: Floats) -> Floats:
    """Rank correlation of each row of ``(R, n)`` with the same row of ``y``; 0 where a side is constant."""
    ranks = [rankdata(values, axis=1) for values in (x, y)]
    left, right = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    size = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    product = (left * right).sum(axis=1)
    correlation: Floats = np.divide(product, size, out=np.zeros(len(product)), where=size > 0)
    return correlation
