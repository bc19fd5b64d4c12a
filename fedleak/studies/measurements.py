"""The measured values of a study by attack and point. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fedleak.results.schema import Interval
from fedleak.studies.bootstrap import Estimate, SeedSample, estimate
from fedleak.studies.matrix import Label, Point, axis_name, describe, matches, same, short_names
from fedleak.studies.records import CellRecord, ImageKey, Measured, PrivacySpent, least_private

ATTACK = "attack"
ROUND = "round"
"""An axis that every study has in addition to its matrix: the round of the federation."""


@dataclass(frozen=True)
class AttackPlace:
    """An attack at a point of the matrix: axis -> label, and ``attack``."""

    labels: tuple[tuple[str, Label], ...]

    @classmethod
    def of(cls, point: Point, attack: str) -> AttackPlace:
        """The place of ``attack`` at ``point``."""
        return cls((*point.items(), (ATTACK, attack)))

    @property
    def by_name(self) -> dict[str, Label]:
        """Axis or ``attack`` -> label."""
        return dict(self.labels)

    def without(self, names: Iterable[str]) -> AttackPlace:
        """The place without the labels of these names."""
        left_out = set(names)
        return AttackPlace(tuple((name, label) for name, label in self.labels if name not in left_out))


@dataclass(frozen=True)
class _Part:
    seed: int
    group: str
    measured: Measured
    privacy: PrivacySpent | None = None


@dataclass
class Measurements:
    """Values of every finished cell.

    Args:
        axes: names of the axes.
        resamples: number of bootstrap resamples.
    """

    axes: tuple[str, ...]
    resamples: int
    _parts: dict[AttackPlace, list[_Part]] = field(default_factory=dict)
    _images: dict[str, dict[ImageKey, int]] = field(default_factory=dict)
    _estimates: dict[tuple[AttackPlace, str], Estimate | None] = field(default_factory=dict)
    _by_round: Measurements | None = None

    def add(self, point: Point, seed: int, record: CellRecord) -> None:
        """Add a finished cell."""
        group = record.images or record.federation
        for measured in record.attacks:
            self._add(AttackPlace.of(point, measured.attack), _Part(seed, group, measured, record.privacy))

    def _add(self, place: AttackPlace, part: _Part) -> None:
        known = self._images.setdefault(part.group, {})
        for key in part.measured.images:
            known.setdefault(key, len(known))
        self._parts.setdefault(place, []).append(part)
        self._by_round = None

    def by_round(self) -> Measurements:
        """The same measurements with ``round`` as an additional axis."""
        if self._by_round is None:
            self._by_round = Measurements((*self.axes, ROUND), self.resamples)
            for place, parts in self._parts.items():
                labels = place.without([ATTACK]).by_name
                for part in parts:
                    for number, measured in part.measured.by_round().items():
                        there = AttackPlace.of({**labels, ROUND: number}, measured.attack)
                        self._by_round._add(there, replace(part, measured=measured))
        return self._by_round

    def places(self, where: Mapping[str, Label], *, baselines: bool = False) -> list[AttackPlace]:
        """Every place that ``where`` matches; baselines only if requested or named."""
        wanted = self.resolved(where)
        named = ATTACK in wanted
        return [
            place
            for place, parts in self._parts.items()
            if matches(place.by_name, wanted) and (baselines or named or not parts[0].measured.is_baseline)
        ]

    def resolved(self, where: Mapping[str, Label]) -> dict[str, Label]:
        """``where`` with the full names of axes."""
        return {name if name == ATTACK else axis_name(name, self.axes) or name: label for name, label in where.items()}

    def describe(self, place: AttackPlace) -> str:
        """``lti at pairs=100``."""
        labels = place.by_name
        attack = labels.pop(ATTACK, None)
        where = describe(labels, short_names(self.axes))
        return " at ".join(text for text in (str(attack or ""), where) if text)

    def measured(self, place: AttackPlace) -> Sequence[Measured]:
        """The measurements there, one per seed."""
        return [part.measured for part in self._parts[place]]

    def privacy(self, place: AttackPlace) -> PrivacySpent | None:
        """Epsilon of the least private seed there; None without differential privacy."""
        return least_private(part.privacy for part in self._parts[place])

    def estimate(self, place: AttackPlace, metric: str) -> Estimate | None:
        """Mean and resamples of a metric, cached for other claims; None if there are no values."""
        if (place, metric) not in self._estimates:
            self._estimates[place, metric] = self._estimate(place, metric)
        return self._estimates[place, metric]

    def intervals(self, place: AttackPlace) -> dict[str, Interval]:
        """Mean and interval of every metric that has values; the resamples are not cached."""
        names = dict.fromkeys(name for part in self._parts[place] for name in part.measured.metrics)
        found = {name: self._estimate(place, name) for name in names}
        return {name: value.interval for name, value in found.items() if value is not None}

    def _estimate(self, place: AttackPlace, metric: str) -> Estimate | None:
        parts = [part for part in self._parts.get(place, []) if metric in part.measured.metrics]
        return estimate([self._sample(part, metric) for part in parts], resamples=self.resamples)

    def _sample(self, part: _Part, metric: str) -> SeedSample:
        index = self._images[part.group]
        values = np.full(len(index), np.nan)
        for key, value in zip(part.measured.images, part.measured.metrics[metric], strict=True):
            if value is not None and np.isfinite(value):
                values[index[key]] = value
        return SeedSample(part.seed, part.group, values)

    def find(self, place: AttackPlace) -> AttackPlace | None:
        """The same place with its labels in the order of the study."""
        wanted = place.by_name
        return next((known for known in self._parts if _equal(known.by_name, wanted)), None)


def _equal(left: Mapping[str, Label], right: Mapping[str, Label]) -> bool:
    return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
