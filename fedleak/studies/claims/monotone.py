"""Claim that a metric rises or falls along an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

from fedleak.results.estimates import ALPHA, Estimate
from fedleak.studies.claims.base import Claim, ClaimCheck, above_zero, missing, together
from fedleak.studies.matrix import Label, axis_name, label_text, same
from fedleak.studies.measurements import AttackPlace, Measurements


class Monotone(Claim):
    """Claims that the mean of a metric rises or falls along an axis, for every attack and point of the other axes.

    It is reproduced if, by their intervals, the two ends differ as claimed and no step goes the other way;
    ``strict`` requires every step to be significant.
    """

    kind: Literal["monotone"] = "monotone"
    metric: str
    """The metric that is averaged."""
    along: str
    """An axis; its values are in ascending order if they are numbers, else as listed."""
    direction: Literal["increasing", "decreasing"]
    """Whether the mean rises or falls."""
    strict: bool = False
    """Whether every step must be significant, not only the two ends."""
    values: tuple[Label, ...] = ()
    """Only these values of the axis, in its unit, in this order; all by default."""

    def statement(self) -> str:
        """The claim in words."""
        of = f" of {self.where['attack']}" if "attack" in self.where else ""
        verb = "rises" if self.direction == "increasing" else "falls"
        over = f" from {label_text(self.values[0])} to {label_text(self.values[-1])}" if self.values else ""
        return f"{self.metric}{of} {verb}{' at every step' if self.strict else ''} along {self.along}{over}"

    def axis(self) -> str | None:
        """The axis along which values are compared."""
        return self.along

    def axis_values(self) -> Sequence[Label]:
        """The values to compare, if not all."""
        return self.values

    def measures(self) -> Mapping[str, str]:
        """The metric."""
        return {"metric": self.metric}

    def check(self, measured: Measurements) -> list[ClaimCheck]:
        """One check per line for its two ends, plus its steps that count."""
        axis = axis_name(self.along, measured.axes) or self.along
        lines: dict[AttackPlace, list[AttackPlace]] = {}
        for place in measured.places(self.where):
            lines.setdefault(place.without([axis]), []).append(place)
        return [check for rest, places in lines.items() for check in self._line(measured, rest, places, axis)]

    def _line(
        self, measured: Measurements, rest: AttackPlace, places: list[AttackPlace], axis: str
    ) -> list[ClaimCheck]:
        name = measured.describe(rest)
        ordered = self._ordered(places, axis)
        points = [
            (place.by_name[axis], value)
            for place in ordered
            if (value := measured.estimate(place, self.metric)) is not None
        ]
        absent = [value for value in self.values if not any(same(value, label) for label, _ in points)]
        if absent:
            return [missing(f"{self.metric} of {name} at {axis} {label_text(absent[0])}", name)]
        if len(points) < 2:
            return [missing(f"{self.metric} of {name} at two values of {axis} or more", name)]
        steps = [self._step(name, *ends) for ends in pairwise(points)]
        whole = self._step(name, points[0], points[-1])
        counted = steps if self.strict else _contrary(steps)
        checks = steps if len(points) == 2 else [whole, *counted]
        return [self.gated(check, measured, self.metric, ordered) for check in checks]

    def _ordered(self, places: Sequence[AttackPlace], axis: str) -> list[AttackPlace]:
        if not self.values:
            return ascending(places, axis)
        return [place for value in self.values for place in places if same(place.by_name[axis], value)]

    def _step(self, name: str, before: tuple[Label, Estimate], after: tuple[Label, Estimate]) -> ClaimCheck:
        sign = 1 if self.direction == "increasing" else -1
        (start, first), (end, second) = before, after
        draws, units = together(second, first)
        difference = sign * (draws[0] - draws[1]) if draws else None
        label = f"{name}: {label_text(start)} to {label_text(end)}"
        return above_zero(label, sign * (second.mean - first.mean), difference, units)


def ascending(places: Sequence[AttackPlace], axis: str) -> list[AttackPlace]:
    """Places in order of the axis: ascending if all labels are numbers, else unchanged."""
    labels = [place.by_name[axis] for place in places]
    if all(isinstance(label, int | float) for label in labels):
        return sorted(places, key=lambda place: float(place.by_name[axis] or 0))
    return list(places)


def _contrary(steps: Sequence[ClaimCheck]) -> list[ClaimCheck]:
    """Steps that go the other way, so clearly that it is not chance among so many steps (Bonferroni)."""
    corrected = [step.model_copy(update={"p": min(1.0, (step.p or 0.0) * len(steps))}) for step in steps]
    return [step for step in corrected if step.state == "not_reproduced" and (step.p or 0.0) < ALPHA]
