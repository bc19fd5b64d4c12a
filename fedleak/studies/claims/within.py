"""Claim that a mean lies between two values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from fedleak.studies.claims.base import Claim, ClaimCheck, above_zero, missing, together, where_text
from fedleak.studies.measurements import AttackPlace, Measurements


class Within(Claim):
    """Claims that the mean of a metric lies between two bounds, such as a published value with a tolerance.

    One bound may be left out: a rate that should be nought can be decided against an upper bound alone, not against a
    lower bound that no rate can cross.
    """

    kind: Literal["within"] = "within"
    metric: str
    """The metric that is averaged."""
    low: float | None = None
    """Lower bound, in the metric's unit; none by default."""
    high: float | None = None
    """Upper bound, in the metric's unit, above ``low``; none by default."""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError("expected low, high or both")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low = {self.low:g} must be below high = {self.high:g}")
        return self

    def statement(self) -> str:
        """The claim in words."""
        of = f"{self.metric} of {where_text(self.where) or 'every attack'}"
        if self.low is None:
            return f"{of} is at most {self.high:g}"
        return (
            f"{of} is at least {self.low:g}"
            if self.high is None
            else f"{of} lies between {self.low:g} and {self.high:g}"
        )

    def measures(self) -> Mapping[str, str]:
        """The metric."""
        return {"metric": self.metric}

    def check(self, measured: Measurements) -> list[ClaimCheck]:
        """One check per place: the distance to the nearer bound that is given, negative outside."""
        return [self._place(measured, place) for place in measured.places(self.where)]

    def _place(self, measured: Measurements, place: AttackPlace) -> ClaimCheck:
        label = f"{measured.describe(place)}: {self.metric} inside the bounds, by"
        found = measured.estimate(place, self.metric)
        if found is None:
            return missing(f"{self.metric} at {measured.describe(place)}", label)
        draws, units = together(found)
        below = [] if self.low is None else [found.mean - self.low]
        nearer = min(below if self.high is None else [*below, self.high - found.mean])
        check = above_zero(label, nearer, draws[0] if draws else None, units)  # the error of the distance is the mean's
        return self.gated(check, measured, self.metric, [place])
