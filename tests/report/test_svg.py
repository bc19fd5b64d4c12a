from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedleak.report.svg import INK, SERIES, canvas, log_ticks, logarithmic, tick_label, to_svg, whole_numbers


@given(st.floats(-10, 3), st.floats(0.13, 12))
def test_a_log_axis_always_has_ticks(exponent: float, decades: float) -> None:
    low, high = 10**exponent, 10 ** (exponent + decades)
    ticks = log_ticks(low, high)
    assert 1 <= len(ticks) <= 12
    assert all(low <= tick <= high for tick in ticks)
    assert len({tick_label(tick) for tick in ticks}) == len(ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1.0, 2.0, [1.0, 1.2, 1.4, 1.6, 1.8, 2.0]),
        (0.9, 11.0, [1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0]),
        (0.9, 110.0, [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]),
        (0.001, 10.0, [0.001, 0.01, 0.1, 1.0, 10.0]),
        (1e-8, 1.0, [1e-8, 1e-6, 1e-4, 1e-2, 1.0]),
    ],
)
def test_ticks_by_hand(low: float, high: float, ticks: list[float]) -> None:
    assert log_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (0.02, "0.02"),
        (100.0, "100"),
        (1.5, "1.5"),
        (1e-5, "10⁻⁵"),
        (2e-5, "2 \N{MULTIPLICATION SIGN} 10⁻⁵"),
        (1.5e-5, "1.5 \N{MULTIPLICATION SIGN} 10⁻⁵"),
    ],
)
def test_labels_of_ticks(value: float, label: str) -> None:
    assert tick_label(value) == label


def test_a_canvas_has_its_size_and_colours_are_variables_of_the_page() -> None:
    with canvas("plain", width=200, height=100) as chart:
        chart.axes.plot([0, 1], [0, 1], color=SERIES[3])
        chart.axes.set_title("name", color=INK)
        svg = to_svg(chart)
    assert svg.startswith('<svg viewBox="0 0 200 100" aria-hidden="true">')
    assert "var(--s3)" in svg
    assert "var(--ink)" in svg
    assert not re.search(r"#[0-9a-f]{6}\b", svg)


def test_the_same_drawing_gives_the_same_text_and_another_name_other_identifiers() -> None:
    def draw(name: str) -> str:
        with canvas(name, width=200, height=100) as chart:
            chart.axes.plot([0, 1], [0, 1])
            return to_svg(chart)

    identifiers = [set(re.findall(r'id="([^"]*)"', draw(name))) for name in ("first", "second")]
    assert draw("first") == draw("first")
    assert identifiers[0]
    assert not identifiers[0] & identifiers[1]


def test_axes_have_whole_rounds_and_logarithmic_errors() -> None:
    with canvas("axes", width=360, height=230) as chart:
        chart.axes.plot([1, 3], [0.01, 0.1])
        whole_numbers(chart.axes)
        logarithmic(chart.axes, "y", 0.01, 0.1)
        assert all(float(tick).is_integer() for tick in chart.axes.get_xticks())
        assert chart.axes.get_yscale() == "log"
        assert chart.axes.get_xscale() == "linear"
        assert chart.axes.get_ylim() == pytest.approx((0.01 / 1.15, 0.1 * 1.15))
