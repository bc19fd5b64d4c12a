"""Claim that a mean lies between two values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from fedleak.studies.claims.base import Claim, ClaimCheck, above_zero, gated, missing, together, where_text
from fedleak.studies.measurements import AttackPlace, Measurements


class Within(Claim):
    """Claims that the mean of a metric lies between two bounds, such as a published value with a tolerance."""

    kind: Literal["within"] = "within"
    metric: str
    """The metric that is averaged."""
    low: float
    """Lower bound, in the metric's unit."""
    high: float
    """Upper bound, in the metric's unit; above ``low``."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} must be below high = {self.high:g}")
        return self

    def statement(self) -> str:
        """The claim in words."""
        return (
            f"{self.metric} of {where_text(self.where) or 'every attack'} lies between {self.low:g} and {self.high:g}"
        )

    def measures(self) -> Mapping[str, str]:
        """The metric."""
        return {"metric": self.metric}

    def check(self, measured: Measurements) -> list[ClaimCheck]:
        """One check per place: the distance to the nearer bound, negative outside."""
        return [self._place(measured, place) for place in measured.places(self.where)]

    def _place(self, measured: Measurements, place: AttackPlace) -> ClaimCheck:
        label = f"{measured.describe(place)}: {self.metric} inside the bounds, by"
        found = measured.estimate(place, self.metric)
        if found is None:
            return missing(f"{self.metric} at {measured.describe(place)}", label)
        draws, units = together(found)
        nearer = min(found.mean - self.low, self.high - found.mean)
        check = above_zero(label, nearer, draws[0] if draws else None, units)  # the error of the distance is the mean's
        return gated(check, measured, self.metric, [place])
