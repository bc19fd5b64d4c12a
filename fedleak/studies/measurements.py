"""The measured values of a study by attack and point. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fedleak.records import Record
from fedleak.results.estimates import Estimate, SeedSample, estimate, student_quantile, summarise
from fedleak.results.leakage import WSRR, UpdateKey
from fedleak.results.schema import THEORY_PREFIX, WEIGHT_DISTANCE, Interval
from fedleak.studies.matrix import Label, Point, axis_name, describe, matches, same, short_names
from fedleak.studies.records import (
    ACCURACY,
    FINAL_ACCURACY,
    CellRecord,
    ImageKey,
    Measured,
    PrivacySpent,
    least_private,
)

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


RECONSTRUCTION = (
    "mse", "psnr", "ssim", "lpips", "fft_2d", "registered_psnr", "iip", "leaked", "leaked_ssim", "readout",
)  # fmt: skip
"""Scores of reconstructed images, which guessing has, too: claims about them are gated."""
INDICATORS = {rate: indicator for indicator, rate in WSRR.items()}
"""Rate over initialisations, which baselines lack -> the indicator of leakage behind it."""
WHOLE_RUN = (FINAL_ACCURACY, ACCURACY, WEIGHT_DISTANCE)
"""Values of the federation as a whole, which the records repeat on every image."""


class Gate(Record):
    """An attack against the best baseline, all of which see no update."""

    attack: str
    baseline: str
    metric: str
    mean: float
    guessed: float
    leaks: bool
    """Whether it rebuilds more, by the interval of the difference."""

    def describe(self) -> str:
        """``lti has psnr 9.0, baseline_mean_image 11.6``."""
        return f"{self.attack} has {self.metric} {self.mean:.4g}, {self.baseline} {self.guessed:.4g}"


@dataclass(frozen=True)
class _Part:
    seed: int
    group: str
    measured: Measured
    test_images: int | None = None
    privacy: PrivacySpent | None = None


@dataclass
class Measurements:
    """Values of every finished cell.

    Args:
        axes: names of the axes.
        resamples: number of draws behind comparisons of means.
    """

    axes: tuple[str, ...]
    resamples: int = 2000
    _parts: dict[AttackPlace, list[_Part]] = field(default_factory=dict)
    _images: dict[str, dict[ImageKey, int]] = field(default_factory=dict)
    _updates: dict[str, dict[ImageKey, UpdateKey]] = field(default_factory=dict)
    _estimates: dict[tuple[AttackPlace, str], Estimate | None] = field(default_factory=dict)
    _by_round: Measurements | None = None
    _higher: set[str] = field(default_factory=set)

    def add(self, point: Point, seed: int, record: CellRecord) -> None:
        """Add a finished cell."""
        group = record.images or record.federation
        for measured in record.attacks:
            part = _Part(seed, group, measured, record.test_images, record.privacy)
            self._add(AttackPlace.of(point, measured.attack), part)
        self._higher.update(record.higher_is_better)

    def _add(self, place: AttackPlace, part: _Part) -> None:
        known, updates = self._images.setdefault(part.group, {}), self._updates.setdefault(part.group, {})
        for key, update in zip(part.measured.images, part.measured.clusters, strict=True):
            known.setdefault(key, len(known))
            updates.setdefault(key, update)
        self._parts.setdefault(place, []).append(part)
        self._by_round = None

    def by_round(self) -> Measurements:
        """The same measurements with ``round`` as an additional axis."""
        if self._by_round is None:
            self._by_round = Measurements((*self.axes, ROUND), self.resamples)
            self._by_round._higher = self._higher
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
            self._estimates[place, metric] = estimate(self._samples(place, metric), resamples=self.resamples)
        return self._estimates[place, metric]

    def intervals(self, place: AttackPlace) -> dict[str, Interval]:
        """Mean and interval of every metric that has values."""
        names = dict.fromkeys(name for part in self._parts[place] for name in part.measured.metrics)
        found = {name: summarise(self._samples(place, name)) for name in names}
        return {name: value.interval for name, value in found.items() if value is not None}

    def _samples(self, place: AttackPlace, metric: str) -> list[SeedSample]:
        parts = [part for part in self._parts.get(place, []) if metric in part.measured.metrics]
        return [self._sample(part, metric) for part in parts]

    def is_score(self, metric: str) -> bool:
        """Whether a metric scores reconstructions, so that claims about it are gated."""
        return INDICATORS.get(metric, metric) in RECONSTRUCTION

    def gate(self, place: AttackPlace, metric: str) -> Gate | None:
        """The attack there against the best update-free baseline at the same point.

        None if the metric is no score of reconstructions, or the attack or every baseline lacks it.
        """
        here = place.without([ATTACK])
        metric = INDICATORS.get(metric, metric)
        if metric not in RECONSTRUCTION or (own := self.estimate(place, metric)) is None:
            return None
        sign = 1.0 if metric in self._higher else -1.0
        baselines = [
            (str(other.by_name[ATTACK]), found)
            for other, parts in self._parts.items()
            if parts[0].measured.is_baseline
            and not str(other.by_name[ATTACK]).startswith(THEORY_PREFIX)  # a theorem computes with the true images
            and other.without([ATTACK]) == here
            and (found := self.estimate(other, metric)) is not None
        ]
        if not baselines:
            return None
        name, best = max(baselines, key=lambda pair: sign * pair[1].mean)
        leaks = False
        if own.draws is not None and best.draws is not None:
            error = float((own.draws - best.draws).std())
            leaks = sign * (own.mean - best.mean) > student_quantile(min(own.units, best.units)) * error
        return Gate(
            attack=str(place.by_name[ATTACK]),
            baseline=name,
            metric=metric,
            mean=own.mean,
            guessed=best.mean,
            leaks=leaks,
        )

    def _sample(self, part: _Part, metric: str) -> SeedSample:
        if metric in WHOLE_RUN:
            return _of_whole_run(part, metric)
        index = self._images[part.group]
        values = np.full(len(index), np.nan)
        for key, value in zip(part.measured.images, part.measured.metrics[metric], strict=True):
            if value is not None and np.isfinite(value):
                values[index[key]] = value
        updates = self._updates[part.group]
        places = {update: number for number, update in enumerate(dict.fromkeys(updates.values()))}
        clusters = np.array([places[updates[key]] for key in index], dtype=np.int64)
        return SeedSample(part.seed, part.group, values, clusters)

    def find(self, place: AttackPlace) -> AttackPlace | None:
        """The same place with its labels in the order of the study."""
        wanted = place.by_name
        return next((known for known in self._parts if _equal(known.by_name, wanted)), None)


def _equal(left: Mapping[str, Label], right: Mapping[str, Label]) -> bool:
    return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)


def _of_whole_run(part: _Part, metric: str) -> SeedSample:
    """One number; test accuracies are rates over the images of the test split."""
    found = [v for v in part.measured.metrics[metric] if v is not None and np.isfinite(v)]
    mean = np.array([np.mean(found)] if found else [np.nan])
    trials = part.test_images if metric in (FINAL_ACCURACY, ACCURACY) else None
    return SeedSample(part.seed, part.group, mean, trials=trials)
