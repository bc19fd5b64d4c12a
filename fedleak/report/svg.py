"""Matplotlib figures as inline SVG with the colours and the font of the page."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from fedleak.report.palette import INK, MUTED, PAPER, RULE, SERIES, VARIABLES
from fedleak.report.vector import DRAWN
from fedleak.results.format import TIMES, scientific, significant

__all__ = ["INK", "MUTED", "PAPER", "RULE", "SERIES", "Canvas", "canvas", "logarithmic", "to_svg", "whole_numbers"]

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "figure.constrained_layout.use": True,
}

_LOG_STEPS = (
    (0.35, (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0)),
    (1.1, (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)),
    (2.9, (1.0, 2.0, 5.0)),
)
"""(decades, multiples): axes with fewer decades have ticks at these multiples of powers of ten."""


@dataclass(frozen=True)
class Canvas:
    """An empty chart to draw on ``axes``; ``to_svg`` converts it."""

    figure: Figure
    axes: Axes
    name: str


@contextmanager
def canvas(name: str, *, width: float, height: float) -> Iterator[Canvas]:
    """Axes of ``width`` x ``height`` pixels in the report's style; ``name`` must be unique on the page."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        yield Canvas(figure, figure.add_subplot(), name)


def to_svg(chart: Canvas) -> str:
    """The ``<svg>`` element without unused identifiers, metadata or fixed colours."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    chart.figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    text = buffer.getvalue()
    match = re.search(r'<svg[^>]*viewBox="([^"]*)"[^>]*>', text)
    if match is None:
        raise RuntimeError("matplotlib wrote no <svg> with a viewBox")
    body = text[match.end() :]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = body.replace("font-family: 'DejaVu Sans'", "font-family: var(--sans)")
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    if (drawings := DRAWN.get()) is not None:
        drawings.add(chart.name, chart.figure)
    return f'<svg viewBox="{match.group(1)}" aria-hidden="true">{body.strip()}'


def whole_numbers(axes: Axes) -> None:
    """Put the ticks of the x axis at integers."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=1))


def logarithmic(axes: Axes, which: str, low: float, high: float) -> None:
    """Set a log scale from ``low`` to ``high`` with plain tick labels, at 1, 2, 5 if there are few decades."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    low, high = low / 1.15, high * 1.15
    (axes.set_ylim if which == "y" else axes.set_xlim)(low, high)
    axis.set_major_locator(FixedLocator(log_ticks(low, high)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_label(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def log_ticks(low: float, high: float) -> list[float]:
    """Round values between two positive bounds, about three to eight of them."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = math.log10(high / low)
    steps = next((steps for limit, steps in _LOG_STEPS if decades < limit), (1.0,))
    stride = max(1, math.ceil(decades / 7))
    return [
        step * 10.0**power
        for power in range(first, last + 1)
        for step in steps
        if power % stride == 0 and low <= step * 10.0**power <= high
    ]


def tick_label(value: float) -> str:
    """``0.02`` instead of ``0.0200``; scientific notation below 0.001."""
    if value < 1e-3:
        return scientific(value).removeprefix(f"1.0 {TIMES} ").replace(".0 ", " ")
    text = significant(value)
    return text.rstrip("0").rstrip(".") if "." in text else text
