from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest

from fedleak.report.charts import (
    SMALL,
    TINY,
    Course,
    Distribution,
    accuracy_by_round,
    analysis_by_round,
    draw_box,
    draw_course,
    learning_curves,
    metric_by_round,
    mse_distribution,
    scaled,
)
from fedleak.report.marks import Mark
from fedleak.report.svg import SERIES, canvas
from fedleak.results.schema import FederationRound, Interval, RoundSummary

LIMITS = (0.5, 3.5)
VIEW = '<svg viewBox="0 0 360 230"'


def course(*intervals: Interval | None, mark: Mark = Mark(1)) -> Course:  # noqa: B008 frozen
    """The errors of rounds 1, 2 ...; None where a round has none."""
    rounds = [RoundSummary(round=i + 1, metrics={"mse": value} if value else {}) for i, value in enumerate(intervals)]
    return Course(mark, tuple(rounds))


FIRST = Interval(mean=0.2, low=0.1, high=0.3)
SECOND = Interval(mean=0.4, low=0.2, high=0.8)


def texts(svg: str) -> list[str]:
    """What is written in a drawing."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_a_course_is_a_line_through_the_means_with_a_band() -> None:
    with canvas("course", width=SMALL[0], height=SMALL[1]) as chart:
        drawn = draw_course(chart.axes, "mse", course(FIRST, None, SECOND), shift=9, band=True)
        (line,), (band,) = chart.axes.lines, chart.axes.collections
    assert drawn == [0.2, 0.4, 0.1, 0.2, 0.3, 0.8]
    assert line.get_xydata().tolist() == [[1, 0.2], [3, 0.4]]
    assert line.get_color() == SERIES[1]
    assert band.get_paths()[0].get_extents().extents.tolist() == pytest.approx([1, 0.1, 3, 0.8])


def test_without_bands_only_the_means_are_drawn() -> None:
    with canvas("course", width=SMALL[0], height=SMALL[1]) as chart:
        assert set(draw_course(chart.axes, "mse", course(FIRST, SECOND), shift=0, band=False)) == {0.2, 0.4}


def test_a_single_round_is_a_point_with_a_bar_set_aside() -> None:
    with canvas("course", width=SMALL[0], height=SMALL[1]) as chart:
        draw_course(chart.axes, "mse", course(FIRST), shift=0.25, band=True)
        (point,), (bar,) = chart.axes.lines, chart.axes.collections
    assert point.get_xydata().tolist() == [[1.25, 0.2]]
    assert bar.get_segments()[0].tolist() == [[1.25, 0.1], [1.25, 0.3]]


@pytest.mark.parametrize("rounds", [(), (None, None), (Interval(mean=math.inf),)])
def test_a_course_without_finite_means_is_not_drawn(rounds: tuple[Interval | None, ...]) -> None:
    with canvas("course", width=SMALL[0], height=SMALL[1]) as chart:
        assert draw_course(chart.axes, "mse", course(*rounds), shift=0, band=True) == []
        assert not chart.axes.lines


def test_a_box_by_hand() -> None:
    """Of 0, 1 ... 100: quartiles 25, 50 and 75, whisker from 5 to 95, mean 50."""
    with canvas("box", width=760, height=100) as chart:
        draw_box(chart.axes, -1.0, np.arange(101.0), SERIES[2])
        whisker, median = (collection.get_segments()[0].tolist() for collection in chart.axes.collections)
        (box,), (dots, diamond) = chart.axes.patches, chart.axes.lines
    assert whisker == [[5, -1], [95, -1]]
    assert median == [[50, -1.23], [50, -0.77]]
    assert (box.get_x(), box.get_width(), box.get_y() + box.get_height() / 2) == pytest.approx((25, 50, -1))
    assert diamond.get_xydata().tolist() == [[50, -1]]
    assert len(dots.get_xdata()) == 60
    assert (min(dots.get_xdata()), max(dots.get_xdata())) == (0, 100)


def test_scaling_keeps_absent_bounds_absent() -> None:
    assert scaled(Interval(mean=4.0, low=2.0, high=6.0), 2.0) == Interval(mean=2.0, low=1.0, high=3.0)
    assert scaled(Interval(mean=4.0), 2.0) == Interval(mean=2.0)


def test_errors_by_round_are_logarithmic_and_other_metrics_are_not() -> None:
    wide = course(Interval(mean=0.001), Interval(mean=0.1))
    svg = metric_by_round("mse", [wide], baseline=1.0, limits=LIMITS)
    assert svg.startswith(VIEW)
    assert [text for text in texts(svg) if text in {"0.001", "0.01", "0.1", "1"}] == ["1", "0.001", "0.01", "0.1", "1"]
    assert "round" in texts(svg)


def test_the_best_baseline_is_a_line_of_its_own() -> None:
    svgs = [metric_by_round("mse", [course(FIRST, SECOND)], baseline=b, limits=LIMITS) for b in (None, 0.3)]
    assert [svg.count("stroke-dasharray") for svg in svgs] == [0, 1]


def test_accuracy_is_in_percent() -> None:
    svg = accuracy_by_round([FederationRound(round=1, accuracy=0.5, loss=1.0)], limits=LIMITS)
    assert {"0", "20", "100"} <= set(texts(svg))


def rounds_of(*means: float | None) -> list[FederationRound]:
    return [
        FederationRound(
            round=i + 1, accuracy=0.5, loss=1.0, analyses={} if mean is None else {"igsa": Interval(mean=mean)}
        )
        for i, mean in enumerate(means)
    ]


def test_an_analysis_is_relative_to_its_first_round() -> None:
    """Means of 5 and 10 are drawn as those of 1 and 2, and rounds without one are left out."""
    first, second = (analysis_by_round("igsa", rounds_of(None, *means), limits=LIMITS) for means in ((5, 10), (1, 2)))
    assert first == second
    assert first != analysis_by_round("igsa", rounds_of(None, 5, 11), limits=LIMITS)


def test_the_curve_of_pairs_held_out_is_bold_and_the_quantity_is_named() -> None:
    curves = {"train": [0.1, 0.05, 0.01], "held_out": [0.1, 0.05]}
    svg = learning_curves("lti", curves, quantity="MSE", mark=Mark(4), bounds=(0.01, 0.5), epochs=4)
    paths = re.findall(r'<path d="([^"]*)"[^>]*style="([^"]*)"', svg)
    bold = [path.count("L") for path, style in paths if "stroke: var(--s4); stroke-width: 1.8" in style]
    assert bold == [1]  # two points
    assert {"epoch", "MSE", "0.01", "0.1"} <= set(texts(svg)), "a log axis"


def test_negative_values_have_a_linear_axis() -> None:
    """GIAS' evidence bound is negative: it was a flat line at 1e-10."""
    falling = [-10.0, -200.0, -300.0, -310.0]
    svg = learning_curves(
        "gias", {"evidence_bound": falling}, quantity="bound in nats", mark=Mark(1), bounds=(-310.0, -10.0), epochs=4
    )
    assert {"bound in nats", "\N{MINUS SIGN}300", "\N{MINUS SIGN}100"} <= set(texts(svg))
    (path,) = (
        path
        for path, style in re.findall(r'<path d="([^"]*)"[^>]*style="([^"]*)"', svg)
        if "stroke-width: 1.8" in style
    )
    heights = [float(y) for y in re.findall(r"[ML] \S+ (\S+)", path)]
    steps = [after - before for before, after in pairwise(heights)]
    assert [step / steps[0] for step in steps] == pytest.approx([1, 100 / 190, 10 / 190], rel=1e-3)


def test_a_distribution_has_one_line_for_each_attack_and_copies_at_the_end_of_the_axis() -> None:
    groups = [Distribution("first", Mark(1), (0.0, 0.1)), Distribution("second" * 10, Mark(2), (0.2,))]
    svg = mse_distribution(groups)
    assert svg.startswith('<svg viewBox="0 0 760 112"')  # 52 pixels and 30 for each line
    assert "first" in texts(svg)
    assert any(text.startswith("second") and "…" in text for text in texts(svg))
    assert TINY == 1e-10
    assert "10⁻¹⁰" in texts(svg)
