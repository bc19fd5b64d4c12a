"""The figure of a study: metrics along one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes

from fedleak.report.figures import Chart, Key
from fedleak.report.marks import COLOURS, Mark
from fedleak.report.svg import MUTED, SERIES, canvas, logarithmic, to_svg
from fedleak.results.format import axis_title, metric_title
from fedleak.results.schema import THEORY_PREFIX, Interval
from fedleak.studies.matrix import Label, describe, label_text, matches, short_names
from fedleak.studies.measurements import ROUND
from fedleak.studies.results import FigureChoice, StudyLine, StudyResults

WIDTH, HEIGHT = 760.0, 380.0
MOST_LINES = 16
"""Maximum number of lines; the table has all of them."""
WIDE_RATIO = 20
"""Ratio of largest to smallest number above which the axis is logarithmic."""


@dataclass(frozen=True)
class StudyFigure:
    """One chart per metric, with a legend; ``left_out`` lines are not drawn."""

    charts: tuple[Chart, ...]
    keys: tuple[Key, ...]
    left_out: int
    has_published: bool


@dataclass(frozen=True)
class _FigureLine:
    name: str
    mark: Mark
    points: tuple[tuple[float, Interval], ...]
    published: tuple[tuple[float, float], ...]


def draw_study(results: StudyResults) -> StudyFigure | None:
    """The figure of the study; None if it has none, or nothing was measured."""
    choice = results.figure
    if choice is None:
        return None
    if choice.along == ROUND:
        results = results.model_copy(update={"lines": results.round_lines, "axes": (*results.axes, ROUND)})
    courses = _courses(results, choice, _labels(results, choice))
    if not courses:
        return None
    shown = courses[:MOST_LINES]
    metrics = (choice.metric, *choice.beside)
    return StudyFigure(
        charts=tuple(_chart(results, choice.model_copy(update={"metric": metric})) for metric in metrics),
        keys=tuple(Key(course.name, course.mark) for course in shown),
        left_out=len(courses) - len(shown),
        has_published=any(course.published for course in shown),
    )


def _chart(results: StudyResults, choice: FigureChoice) -> Chart:
    labels, axis = _labels(results, choice), short_names(results.axes)[choice.along]
    svg = _draw(choice, labels, _courses(results, choice, labels)[:MOST_LINES], axis)
    title = f"{metric_title(choice.metric)} along {axis}"
    return Chart(svg=Markup(svg), label=title, title=title)  # noqa: S704 drawn by matplotlib


def _labels(results: StudyResults, choice: FigureChoice) -> list[Label]:
    """All values of the axis: numbers in ascending order, others in order of appearance."""
    labels: list[Label] = []
    for line in results.lines:
        if line.point[choice.along] not in labels:
            labels.append(line.point[choice.along])
    return sorted(labels, key=_number) if _numeric(labels) else labels


def _numeric(labels: Sequence[Label]) -> bool:
    return all(isinstance(label, int | float) and not isinstance(label, bool) for label in labels)


def _number(label: Label) -> float:
    return float(label) if isinstance(label, int | float) else math.nan


def _courses(results: StudyResults, choice: FigureChoice, labels: list[Label]) -> list[_FigureLine]:
    groups: dict[tuple[str, str], list[StudyLine]] = {}
    for line in results.lines:
        if not line.is_baseline or line.attack.startswith(THEORY_PREFIX):
            rest = {axis: label for axis, label in line.point.items() if axis != choice.along}
            groups.setdefault((line.attack, describe(rest)), []).append(line)
    place = {label_text(label): _number(label) if _numeric(labels) else float(i) for i, label in enumerate(labels)}
    return [
        _FigureLine(
            name=", ".join(part for part in key if part),
            mark=Mark(1 + i % COLOURS, "solid" if i < COLOURS else "dashed"),
            points=tuple(
                sorted(
                    (
                        (place[label_text(x.point[choice.along])], x.metrics[choice.metric])
                        for x in lines
                        if choice.metric in x.metrics
                    ),
                    key=_first,
                )
            ),
            published=_published(results, choice, lines[0], place),
        )
        for i, (key, lines) in enumerate(groups.items())
        if any(choice.metric in line.metrics for line in lines)
    ]


def _first(point: tuple[float, Interval]) -> float:
    return point[0]


def _published(
    results: StudyResults, choice: FigureChoice, line: StudyLine, place: dict[str, float]
) -> tuple[tuple[float, float], ...]:
    """Published values of this line at values of the axis that were measured."""
    found = []
    for number in results.published:
        where = {axis: label for axis, label in number.where.items() if axis != choice.along}
        x = place.get(label_text(number.where.get(choice.along)))
        if number.metric == choice.metric and x is not None and matches({**line.point, "attack": line.attack}, where):
            found.append((x, number.value))
    return tuple(sorted(found))


def _draw(choice: FigureChoice, labels: list[Label], courses: list[_FigureLine], axis: str) -> str:
    with canvas(f"study-{choice.metric}", width=WIDTH, height=HEIGHT) as chart:
        values = [value for course in courses for value in _draw_course(chart.axes, course)]
        positive = [value for value in values if value > 0]
        if choice.logarithmic and positive:
            logarithmic(chart.axes, "y", min(positive), max(positive))
        _label_axis(chart.axes, labels)
        chart.axes.set_xlabel(axis)
        chart.axes.set_ylabel(axis_title(choice.metric))
        return to_svg(chart)


def _draw_course(axes: Axes, course: _FigureLine) -> list[float]:
    colour = SERIES[course.mark.colour]
    dash = "-" if course.mark.dash == "solid" else "--"
    x = [point for point, _ in course.points]
    means = [value.mean for _, value in course.points]
    low = [value.mean if value.low is None else value.low for _, value in course.points]
    high = [value.mean if value.high is None else value.high for _, value in course.points]
    axes.vlines(x, low, high, colors=colour, linewidth=1.4)
    axes.plot(x, means, color=colour, linestyle=dash, linewidth=1.6, marker="o", markersize=4)
    if course.published:
        there, numbers = zip(*course.published, strict=True)
        axes.plot(
            there, numbers, color=colour, linestyle=":", linewidth=1.2, marker="D", markersize=4, markerfacecolor=MUTED
        )
    published = [value for _, value in course.published]
    return [value for value in (*means, *low, *high, *published) if math.isfinite(value)]


def _label_axis(axes: Axes, labels: list[Label]) -> None:
    if not _numeric(labels):
        axes.set_xticks(range(len(labels)), [label_text(label) for label in labels])
        return
    numbers = [_number(label) for label in labels]
    if min(numbers) > 0 and max(numbers) / min(numbers) > WIDE_RATIO:
        logarithmic(axes, "x", min(numbers), max(numbers))
    axes.set_xticks(numbers, [label_text(label) for label in labels])
