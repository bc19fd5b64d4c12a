"""Claim that a mean is at least a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from fedleak.studies.claims.base import Claim, ClaimCheck, above_zero, missing, together, where_text
from fedleak.studies.measurements import AttackPlace, Measurements


class AtLeast(Claim):
    """Claims that the mean of a metric is at least a value, at every attack and point that ``where`` selects."""

    kind: Literal["at_least"] = "at_least"
    metric: str
    """The metric that is averaged."""
    value: float
    """Lower bound, in the metric's unit."""

    def statement(self) -> str:
        """The claim in words."""
        return f"{self.metric} of {where_text(self.where) or 'every attack'} is at least {self.value:g}"

    def measures(self) -> Mapping[str, str]:
        """The metric."""
        return {"metric": self.metric}

    def check(self, measured: Measurements) -> list[ClaimCheck]:
        """One check per place."""
        return [self._place(measured, place) for place in measured.places(self.where)]

    def _place(self, measured: Measurements, place: AttackPlace) -> ClaimCheck:
        label = f"{measured.describe(place)}: {self.metric} above {self.value:g}"
        found = measured.estimate(place, self.metric)
        if found is None:
            return missing(f"{self.metric} at {measured.describe(place)}", label)
        draws, units = together(found)
        check = above_zero(label, found.mean - self.value, draws[0] - self.value if draws else None, units)
        return self.gated(check, measured, self.metric, [place])
