"""Differences of two runs on the same images. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fedleak.results.estimates import mean_interval
from fedleak.results.schema import CORE_METRICS
from fedleak.studies.records import CellRecord, ImageKey, Measured
from fedleak.studies.results import PairedDifference


def paired_differences(first: CellRecord, second: CellRecord) -> tuple[PairedDifference, ...]:
    """Second minus first, for every core metric of every attack that both runs have, over the images of both.

    The interval is that of the mean difference over updates (see ``fedleak.results.estimates``), which is narrower than
    those of the two means where easy and hard images are the same in both runs. Two runs with one attack each are
    compared whatever the attacks are called.

    Returns:
        Nothing if the victims' images are not known to be the same.
    """
    if not first.images or first.images != second.images:
        return ()
    found = [difference for ours, theirs in _attacks(first, second) for difference in _differences(ours, theirs)]
    return tuple(found)


def _attacks(first: CellRecord, second: CellRecord) -> list[tuple[Measured, Measured]]:
    ours, theirs = ([m for m in record.attacks if not m.is_baseline] for record in (first, second))
    named = {measured.attack: measured for measured in theirs}
    both = [(measured, named[measured.attack]) for measured in ours if measured.attack in named]
    return both or ([(ours[0], theirs[0])] if len(ours) == len(theirs) == 1 else [])


def _differences(ours: Measured, theirs: Measured) -> Iterator[PairedDifference]:
    name = ours.attack if ours.attack == theirs.attack else f"{ours.attack}, {theirs.attack}"
    for metric in CORE_METRICS:
        left, right = _values(ours, metric), _values(theirs, metric)
        shared = [image for image in left if image in right]
        if not shared:
            continue
        updates = dict(zip(ours.images, ours.clusters, strict=True))
        interval = mean_interval([right[i] - left[i] for i in shared], [updates[i] for i in shared])
        if interval is not None:
            means = (sum(side[i] for i in shared) / len(shared) for side in (left, right))
            first, second = means
            yield PairedDifference(
                attack=name, metric=metric, images=len(shared), first=first, second=second, difference=interval
            )


def _values(measured: Measured, metric: str) -> dict[ImageKey, float]:
    column = measured.metrics.get(metric) or [None] * len(measured.images)
    pairs = zip(measured.images, column, strict=True)
    return {image: value for image, value in pairs if value is not None and math.isfinite(value)}
