"""Charts of the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from fedleak.report.marks import BASELINE, Mark
from fedleak.report.svg import INK, MUTED, PAPER, SERIES, canvas, logarithmic, to_svg, whole_numbers
from fedleak.results.format import axis_title, shorten_name
from fedleak.results.schema import CoursePoint, FederationRound, Interval, RoundSummary

SMALL = (360.0, 230.0)
"""Width and height in pixels of a small chart."""
MARKERS_UP_TO = 25
"""Maximum number of rounds with markers; with more they would overlap."""
BANDS_UP_TO = 6
"""Maximum number of attacks with bands; more bands would hide the lines."""
DOTS = 60
"""Maximum number of images drawn as dots in each row of the distribution."""
WIDE = 20.0
"""Ratio of the ends of an axis above which it is logarithmic."""
TINY = 1e-10
"""MSE of a perfect copy on a log axis; it is the 100 dB at which PSNR is capped."""
_DASHES = {"solid": "-", "dashed": (0, (5, 2)), "dotted": (0, (1, 1.4))}


@dataclass(frozen=True)
class Course:
    """Metrics of one attack by round."""

    mark: Mark
    rounds: tuple[RoundSummary, ...]


@dataclass(frozen=True)
class Distribution:
    """The values of one attack or baseline."""

    name: str
    mark: Mark
    values: tuple[float, ...]


def metric_by_round(
    metric: str, courses: Sequence[Course], *, baseline: float | None, limits: tuple[float, float]
) -> str:
    """Mean of a metric with its interval in every attacked round; the best baseline as a dashed line."""
    with canvas(f"round-{metric}", width=SMALL[0], height=SMALL[1]) as chart:
        span = limits[1] - limits[0]
        step = min(0.03 * span, max(0.8, 0.06 * span) / max(len(courses), 1))
        drawn = [baseline] if baseline is not None else []
        for i, course in enumerate(courses):
            shift = (i - (len(courses) - 1) / 2) * step
            drawn += draw_course(chart.axes, metric, course, shift=shift, band=len(courses) <= BANDS_UP_TO)
        if baseline is not None:
            chart.axes.axhline(baseline, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
        positive = [value for value in drawn if value > 0]
        if metric == "mse" and positive:
            logarithmic(chart.axes, "y", min(positive), max(positive))
        chart.axes.set_ylabel(axis_title(metric))
        _round_axis(chart.axes, limits)
        return to_svg(chart)


def draw_course(axes: Axes, metric: str, course: Course, *, shift: float, band: bool) -> list[float]:
    """Draw a line with a band, or one point with a bar; return all finite values drawn."""
    points = [(r.round, r.metrics[metric]) for r in course.rounds if metric in r.metrics]
    points = [(number, value) for number, value in points if math.isfinite(value.mean)]
    if not points:
        return []
    x = np.array([number for number, _ in points], dtype=float)
    mean = [value.mean for _, value in points]
    low = [value.mean if value.low is None or not band else value.low for _, value in points]
    high = [value.mean if value.high is None or not band else value.high for _, value in points]
    colour, dash = SERIES[course.mark.colour], _DASHES[course.mark.dash]
    if len(points) == 1:
        axes.vlines(x + shift, low, high, colors=colour, linewidth=1.4)
        axes.plot(x + shift, mean, marker="o", markersize=5, color=colour, linestyle="none")
    else:
        axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
        marker, width = ("o", 1.6) if len(points) <= MARKERS_UP_TO else ("", 1.1)
        axes.plot(x, mean, color=colour, linestyle=dash, linewidth=width, marker=marker, markersize=3.2)
    return [value for value in (*mean, *low, *high) if math.isfinite(value)]


def accuracy_by_round(rounds: Sequence[FederationRound], *, limits: tuple[float, float]) -> str:
    """Test accuracy of the global model after each round."""
    with canvas("round-accuracy", width=SMALL[0], height=SMALL[1]) as chart:
        marker = "o" if len(rounds) <= MARKERS_UP_TO else ""
        values = [100 * r.accuracy for r in rounds]
        chart.axes.plot([r.round for r in rounds], values, color=INK, linewidth=1.6, marker=marker, markersize=3.2)
        chart.axes.set_ylim(0, 100)
        chart.axes.set_ylabel("accuracy in %")
        _round_axis(chart.axes, limits)
        return to_svg(chart)


def analysis_by_round(kind: str, rounds: Sequence[FederationRound], *, limits: tuple[float, float]) -> str:
    """Mean of an analysis of the leaked model with its interval, relative to the first round that has one."""
    found = [(r.round, r.analyses[kind]) for r in rounds if kind in r.analyses]
    first = abs(found[0][1].mean) or 1.0
    course = Course(BASELINE, tuple(RoundSummary(round=n, metrics={kind: scaled(v, first)}) for n, v in found))
    with canvas(f"round-{kind}", width=SMALL[0], height=SMALL[1]) as chart:
        positive = [value for value in draw_course(chart.axes, kind, course, shift=0, band=True) if value > 0]
        if positive and max(positive) > WIDE * min(positive):
            logarithmic(chart.axes, "y", min(positive), max(positive))
        chart.axes.set_ylabel("share of the first value")
        _round_axis(chart.axes, limits)
        return to_svg(chart)


def scaled(value: Interval, unit: float) -> Interval:
    """Mean and bounds as multiples of ``unit``."""
    low, high = (None if end is None else end / unit for end in (value.low, value.high))
    return Interval(mean=value.mean / unit, low=low, high=high)


def _round_axis(axes: Axes, limits: tuple[float, float]) -> None:
    axes.set_xlim(*limits)
    axes.set_xlabel("round")
    whole_numbers(axes)


def learning_curves(
    name: str,
    curves: dict[str, list[float]],
    *,
    quantity: str,
    mark: Mark,
    bounds: tuple[float, float],
    epochs: int,
) -> str:
    """Curves of one quantity by epoch; on training pairs thin, others bold.

    Args:
        name: unique on the page.
        curves: name -> values; values that are not finite leave gaps.
        quantity: what they measure, with its unit.
        mark: of the attack.
        bounds: of the axis; it is logarithmic only if they are positive and far apart.
        epochs: of the longest curve.
    """
    with canvas(f"learning-{name}", width=SMALL[0], height=SMALL[1]) as chart:
        for key, values in curves.items():
            training = key == "train" and len(curves) > 1
            chart.axes.plot(
                range(1, len(values) + 1),
                [value if math.isfinite(value) else math.nan for value in values],
                color=MUTED if training else SERIES[mark.colour],
                linewidth=1.2 if training else 1.8,
                marker="o" if len(values) == 1 else "",
                markersize=4,
            )
        low, high = bounds
        if low > 0 and high > WIDE * low:
            logarithmic(chart.axes, "y", low, high)
        else:
            space = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
            chart.axes.set_ylim(low - space, high + space)
        chart.axes.set_ylabel(quantity)
        margin = 0.02 * max(epochs - 1, 1)
        chart.axes.set_xlim(1 - margin, max(epochs, 2) + margin)
        chart.axes.set_xlabel("epoch")
        whole_numbers(chart.axes)
        return to_svg(chart)


def matching_chart(name: str, course: Sequence[CoursePoint], *, mark: Mark, distance: str) -> str:
    """Median matching loss by iteration with its quartiles over the updates.

    Args:
        name: unique on the page.
        course: at least one point.
        mark: of the attack.
        distance: what the loss measures; empty if that is not known.
    """
    with canvas(f"matching-{name}", width=SMALL[0], height=SMALL[1]) as chart:
        x = [point.iteration for point in course]
        low, high = [point.low for point in course], [point.high for point in course]
        chart.axes.fill_between(x, low, high, color=SERIES[mark.colour], alpha=0.16, linewidth=0)
        marker = "o" if len(course) == 1 else ""
        chart.axes.plot(x, [p.median for p in course], color=SERIES[mark.colour], linewidth=1.8, marker=marker)
        positive = [value for value in (*low, *high) if value > 0]
        if positive and max(positive) > WIDE * min(positive):
            logarithmic(chart.axes, "y", max(min(positive), TINY), max(positive))
        chart.axes.set_ylabel(f"matching loss ({distance})" if distance else "matching loss")
        chart.axes.set_xlabel("iteration")
        whole_numbers(chart.axes)
        return to_svg(chart)


def mse_distribution(groups: Sequence[Distribution]) -> str:
    """One row per attack: dots for images, a box for the middle half, a whisker for 90 %, a diamond for the mean."""
    height = 52.0 + 30.0 * len(groups)
    with canvas("distribution", width=760.0, height=height) as chart:
        axes = chart.axes
        for i, group in enumerate(groups):
            draw_box(axes, float(-i), np.clip(np.array(group.values), TINY, None), SERIES[group.mark.colour])
        every = [max(value, TINY) for group in groups for value in group.values]
        logarithmic(axes, "x", min(every), max(every))
        axes.set_yticks([-i for i in range(len(groups))], [shorten_name(g.name, 40) for g in groups])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(-len(groups) + 0.4, 0.6)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("MSE of one image")
        return to_svg(chart)


def draw_box(axes: Axes, y: float, values: NDArray[np.float64], colour: str) -> None:
    """Draw one row of the distribution at height ``y``."""
    ordered = np.sort(values)
    dots = ordered[np.unique(np.linspace(0, len(ordered) - 1, min(DOTS, len(ordered))).round().astype(int))]
    jitter = (np.arange(len(dots)) * 0.618034 % 1 - 0.5) * 0.46  # the golden ratio spreads without random numbers
    axes.plot(
        dots,
        y + jitter,
        color=colour,
        marker="o",
        markersize=2.6,
        linestyle="none",
        alpha=0.4,
        markeredgewidth=0,
    )
    p5, p25, p50, p75, p95 = np.quantile(ordered, (0.05, 0.25, 0.5, 0.75, 0.95))
    axes.hlines(y, p5, p95, colors=colour, linewidth=1.2)
    axes.barh(y, p75 - p25, left=p25, height=0.46, color=colour, alpha=0.25, edgecolor=colour)
    axes.vlines(p50, y - 0.23, y + 0.23, colors=colour, linewidth=2)
    mean = float(values.mean())
    axes.plot([mean], [y], marker="D", markersize=5, color=PAPER, markeredgecolor=colour, markeredgewidth=1.4)
