"""Two metrics go together."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field
from scipy.stats import rankdata

from fedleak.studies.bootstrap import Floats
from fedleak.studies.claims.base import Check, Claim, above_zero, missing
from fedleak.studies.measurements import ATTACK, Measurements, Place

FEWEST = 3


class Correlates(Claim):
    """Claims that two metrics have a rank correlation (Spearman) over the points of the matrix, for every attack."""

    kind: Literal["correlates"] = "correlates"
    x: str
    y: str
    direction: Literal["positive", "negative"] = "positive"
    stronger_than: float = Field(default=0.0, ge=0, lt=1)
    """Size that the correlation exceeds."""

    def statement(self) -> str:
        """The claim in words."""
        beyond = f" beyond {self.stronger_than:g}" if self.stronger_than else ""
        return f"{self.x} and {self.y} correlate {self.direction}ly{beyond}"

    def check(self, measured: Measurements) -> list[Check]:
        """One case for each attack."""
        attacks: dict[str, list[Place]] = {}
        for place in measured.places(self.where):
            attacks.setdefault(str(place.by_name[ATTACK]), []).append(place)
        return [self._attack(measured, attack, places) for attack, places in attacks.items()]

    def _attack(self, measured: Measurements, attack: str, places: list[Place]) -> Check:
        label = f"{attack}: {self.x} and {self.y}"
        both = [(measured.estimate(p, self.x), measured.estimate(p, self.y)) for p in places]
        pairs = [(x, y) for x, y in both if x is not None and y is not None]
        if len(pairs) < FEWEST:
            return missing(f"{self.x} and {self.y} of {attack} at {FEWEST} points or more", label)
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
