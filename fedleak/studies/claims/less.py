"""Claim that one mean is lower than another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from fedleak import limits
from fedleak.studies.claims.base import Claim, ClaimCheck, Where, above_zero, missing, together, where_text
from fedleak.studies.measurements import AttackPlace, Measurements


class Less(Claim):
    """Claims that the mean of a metric is lower in one place than in another; the same images are compared in pairs."""

    kind: Literal["less"] = "less"
    metric: str
    """The metric that is averaged."""
    left: Where
    """Attack and point with the lower mean."""
    right: Where
    """Attack and point with the higher mean; what it does not name is as on the left."""
    factor: float = Field(default=1.0, gt=0, le=limits.RATE)
    """``factor`` times the left mean must still be lower."""

    def statement(self) -> str:
        """The claim in words."""
        times = "" if self.factor == 1 else f"{self.factor:g} times "
        return f"{times}{self.metric} of {where_text(self.left)} is lower than of {where_text(self.right)}"

    def selections(self) -> Mapping[str, Where]:
        """The fields that select attacks and points."""
        return {**super().selections(), "left": self.left, "right": self.right}

    def compared(self) -> Mapping[str, tuple[Where, ...]]:
        """Both sides; what the right does not name is as on the left."""
        left = (self.where, self.left)
        return {"left": left, "right": (*left, self.right), **self.controlled(*left)}

    def measures(self) -> Mapping[str, str]:
        """The metric."""
        return {"metric": self.metric}

    def check(self, measured: Measurements) -> list[ClaimCheck]:
        """One check per place on the left; what the right does not name is as on the left."""
        right = measured.resolved(self.right)
        return [
            self._compare(measured, place, measured.find(AttackPlace(tuple({**place.by_name, **right}.items()))))
            for place in measured.places({**self.where, **self.left})
        ]

    def _compare(self, measured: Measurements, left: AttackPlace, right: AttackPlace | None) -> ClaimCheck:
        label = f"{measured.describe(left)} below {measured.describe(right) if right else where_text(self.right)}"
        low = measured.estimate(left, self.metric)
        high = measured.estimate(right, self.metric) if right else None
        if right is None or low is None or high is None:
            return missing(f"{self.metric} was not measured on both sides of: {label}", label)
        draws, units = together(high, low)
        difference = draws[0] - self.factor * draws[1] if draws else None
        check = above_zero(label, high.mean - self.factor * low.mean, difference, units)
        return self.gated(check, measured, self.metric, [left, right])
