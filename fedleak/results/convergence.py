"""Whether a search or a training had come to its end, judged by its curve. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain, repeat

import numpy as np

from fedleak.results.schema import CoursePoint, MatchingLoss

MATCHING_LOSS = "matching_loss"
"""Name of the curve of a search."""
KEPT_LOSS = "kept_loss"
"""Name of the one value that is the matching loss of a search's result."""
HELD_OUT = "held_out"
"""Name of the curve of a training that is judged."""
COURSE_POINTS = 60
"""Points that are kept of the courses of an attack's searches."""
LAST_PART = 0.1
"""The last tenth of a curve is judged."""
FALLING = 0.05
"""A lowest value that falls by more than this share over the last part is still falling."""
FALLING_SHORT = 0.01
"""The same for a search or a training below the attack's default budget."""
COOLING = 3 / 8
"""Share of a search after which schedules lower the learning rate, which flattens any curve: a search below the default
budget must have stopped falling by then, too."""
LEAST_PROGRESS = 0.01
"""A search whose loss falls by less than this share in all has not left its start."""
MATCHED = 1e-6
"""A loss below this share of its start matches the update: the search is over."""


def finite_values(curve: Sequence[float]) -> list[float]:
    """The finite values of a curve, in their order."""
    return [float(value) for value in curve if math.isfinite(value)]


def late_fall(curve: Sequence[float]) -> float:
    """Share by which the lowest value so far fell over the last tenth of a curve, in [0, 1] for positive values.

    1 for fewer than two finite values, of which nothing is known; 0 once the curve is below ``MATCHED`` of its start.
    """
    values = finite_values(curve)
    if len(values) < 2:
        return 1.0
    last = max(1, round(LAST_PART * len(values)))
    before, end = min(values[:-last]), min(values)
    if before <= 0 or end <= MATCHED * values[0]:
        return 0.0
    return (before - end) / before


def is_falling(curve: Sequence[float], *, short: bool) -> bool:
    """Whether a curve was still falling at its end.

    Args:
        curve: one value per iteration or epoch.
        short: whether the search or training was below the attack's default budget.
    """
    return late_fall(curve) > (FALLING_SHORT if short else FALLING)


def is_search_falling(curve: Sequence[float], *, short: bool) -> bool:
    """Whether a search was still falling at its end or, if it was short, before its learning rate was lowered."""
    values = finite_values(curve)
    cooled = short and is_falling_at(values, COOLING)
    return cooled or is_falling(values, short=short)


def is_falling_at(values: Sequence[float], share: float) -> bool:
    """Whether a curve was falling after this share of it, by the tenth of it before."""
    end, last = math.ceil(share * len(values)), max(1, round(LAST_PART * len(values)))
    before = min(values[: max(1, end - last)], default=0.0)
    return before > MATCHED * abs(values[0]) and (before - min(values[:end])) / before > FALLING if values else True


def is_unfinished(curve: Sequence[float], *, short: bool) -> bool:
    """Whether the matching loss of a search was still falling, or never left its start."""
    values = finite_values(curve)
    stuck = bool(values) and values[0] > 0 and min(values) > (1 - LEAST_PROGRESS) * values[0]
    return stuck or is_search_falling(values, short=short)


def matching_loss(
    curves: Sequence[Sequence[float]], kept: Sequence[Sequence[float]] = (), *, short: bool, started: bool = False
) -> MatchingLoss | None:
    """Summary of the matching loss of one attack; None if it has no curves.

    Args:
        curves: of every update on which the attack worked; those without a finite value are left out.
        kept: for each of them the loss of the search's result, one value; where there is none, the lowest of the curve.
        short: whether the attack was below its default budget.
        started: whether it started from another attack's images, which may match already.
    """
    results: Iterable[Sequence[float]] = chain(kept, repeat(()))
    every = zip(map(finite_values, curves), map(finite_values, results), strict=False)
    pairs = [(values, own or [min(values)]) for values, own in every if values]
    if not pairs:
        return None
    known = [values for values, _ in pairs]
    unfinished = is_search_falling if started else is_unfinished
    return MatchingLoss(
        start=sum(values[0] for values in known) / len(known),
        final=sum(own[0] for _, own in pairs) / len(pairs),
        iterations=max(map(len, known)),
        late_fall=sum(map(late_fall, known)) / len(known),
        updates=len(known),
        unfinished=sum(unfinished(values, short=short) for values in known),
    )


def matching_course(curves: Sequence[Sequence[float]]) -> tuple[CoursePoint, ...]:
    """Median and quartiles over the updates at up to ``COURSE_POINTS`` iterations; empty without finite values.

    Args:
        curves: one value per iteration, for every update; a search that ended earlier counts with its last value.
    """
    known = [values for values in map(finite_values, curves) if values]
    if not known:
        return ()
    length = max(map(len, known))
    table = np.array([[*values, *repeat(values[-1], length - len(values))] for values in known])
    places = np.unique(np.linspace(0, length - 1, min(COURSE_POINTS, length)).round().astype(int))
    low, median, high = np.quantile(table[:, places], (0.25, 0.5, 0.75), axis=0)
    return tuple(
        CoursePoint(iteration=int(place) + 1, median=float(m), low=float(a), high=float(b))
        for place, m, a, b in zip(places, median, low, high, strict=True)
    )
