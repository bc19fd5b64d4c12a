"""The report of a frontier: a sentence, a chart and a table for each case."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from matplotlib.axes import Axes

from fedleak.records import write_atomically
from fedleak.report.build import render_template
from fedleak.report.figures import Chart
from fedleak.report.svg import INK, MUTED, PAPER, SERIES, canvas, to_svg
from fedleak.results.format import (
    DASH,
    axis_title,
    count,
    fixed,
    interval_range,
    metric_title,
    metric_value,
    percent,
    plural,
)
from fedleak.studies.evidence import gate_metric, stated_doubts, undefended
from fedleak.studies.report.table import Number, privacy_number, privacy_text
from fedleak.studies.tradeoff import Case, Frontier, Leak, Setting
from fedleak.version import __version__

FRONTIER_HTML = "frontier.html"
FRONTIER_JSON = "frontier.json"
WIDTH, HEIGHT = 760.0, 420.0
METRICS_SHOWN = 4
"""Metrics that fit beside accuracy, bytes and epsilon on a page of 1,280 pixels."""
SMALLEST, LARGEST = 5.0, 16.0
"""Diameters of dots for the smallest and the largest number of bytes of a case."""


@dataclass(frozen=True)
class SettingRow:
    """Table row of one setting."""

    number: int
    name: str
    seeds: int
    accuracy: Number
    leaks: tuple[Number, ...]
    unaware: Number
    """First metric of the strongest non-adaptive attack."""
    size: str
    privacy: Number
    state: str
    tone: str


@dataclass(frozen=True)
class CasePage:
    """Section of one case."""

    name: str
    sentence: str
    tone: str
    lacking: tuple[str, ...]
    chart: Chart | None
    rows: tuple[SettingRow, ...]
    missing: int


@dataclass(frozen=True)
class FrontierPage:
    """All values that the template shows."""

    name: str
    metric: str
    metrics: tuple[str, ...]
    shown: tuple[str, ...]
    """The metrics of the main table; the others are folded below it."""
    compares_unaware: bool
    """Whether some setting has adaptive and non-adaptive attacks."""
    loss: str
    stands_in: bool
    private: bool
    """Whether some setting has differential privacy."""
    cases: tuple[CasePage, ...]
    version: str


def write_frontier(root: Path, frontier: Frontier) -> Path:
    """Write ``frontier.json`` and the self-contained ``frontier.html``, and return the path of the latter."""
    write_atomically(root / FRONTIER_JSON, frontier.model_dump_json(indent=1))
    path = root / FRONTIER_HTML
    write_atomically(path, render_template("frontier.html", make_page(frontier), package=__package__))
    return path


def make_page(frontier: Frontier) -> FrontierPage:
    """Assemble the page."""
    arrows = {name: "↑" if name in frontier.higher_leaks_more else "↓" for name in frontier.metrics}
    titles = tuple(f"{metric_title(name)} {arrows[name]}" for name in frontier.metrics)
    return FrontierPage(
        name=frontier.study,
        metric=metric_title(frontier.metric),
        metrics=titles,
        shown=titles[:METRICS_SHOWN],
        compares_unaware=any(_both_sorts(setting, frontier.metric) for c in frontier.cases for setting in c.settings),
        loss=fixed(100 * frontier.accuracy_loss, 1),
        private=any(setting.privacy is not None for case in frontier.cases for setting in case.settings),
        stands_in=frontier.metric != "lpips",
        cases=tuple(_case(case, frontier, i) for i, case in enumerate(frontier.cases)),
        version=__version__,
    )


def _both_sorts(setting: Setting, metric: str) -> bool:
    strongest = setting.leaks.get(metric)
    return metric in setting.unaware and strongest is not None and bool(strongest.adaptive)


def recommendation(case: Case, frontier: Frontier) -> str:
    """The recommended setting, the evidence for it and what would change it; or what a recommendation lacks."""
    by_number = {setting.number: setting for setting in case.settings}
    if case.candidate is None or case.most_accurate is None:
        return "No recommendation: no setting was measured in full."
    if case.recommended is None:
        return f"No recommendation. Missing: {'; '.join(each.title for each in case.lacking)}."
    best, chosen = by_number[case.most_accurate], by_number[case.recommended]
    points = f"{fixed(100 * frontier.accuracy_loss, 1)} points"
    further = f"{_working_attack(case, frontier)} {_what_would_change(best, chosen, frontier)}"
    if best is chosen:
        evidence = _evidence(best, frontier)
        return f"No setting within {points} of accuracy leaks less than the most accurate, {evidence}. {further}"
    doubt = (
        "; the two intervals of leakage overlap, so the gain may be chance" if _overlap(best, chosen, frontier) else ""
    )
    return (
        f"Use {_evidence(chosen, frontier)}: of {plural(len(case.settings) - case.missing, 'setting')} it leaks least "
        f"within {points} of the most accurate, {_evidence(best, frontier)}{doubt}. {further}"
    )


def missing_lines(case: Case) -> tuple[str, ...]:
    """One line for each condition of a recommendation that is not met, with what to do."""
    return tuple(f"{each.title}: {each.what}; to do: {each.remedy}." for each in case.lacking)


def _evidence(setting: Setting, frontier: Frontier) -> str:
    leak, metric = setting.leaks[frontier.metric], frontier.metric
    interval = interval_range(metric, leak.interval)
    closeness = f"{metric_title(metric)} {metric_value(metric, leak.interval.mean)} {interval}".strip()
    by = f"{leak.attack}, which {'adapts' if leak.adaptive else 'does not adapt'}"
    of = f"on {plural(leak.images, 'image')} and {plural(setting.seeds, 'seed')}"
    size = count(round(setting.bytes_per_round or 0))
    name = setting.name or "the only setting"
    private = f", {privacy_text(setting.privacy)}" if setting.privacy is not None else ""
    return f"{name} ({_accuracy_text(setting)} accurate, {closeness} by {by}, {of}, {size} bytes a round{private})"


def _accuracy_text(setting: Setting) -> str:
    accuracy, interval = setting.accuracy, setting.accuracy_interval
    text = percent(accuracy.mean if accuracy else None)
    if interval is None or interval.low is None or interval.high is None:
        return text
    return f"{text} [{percent(interval.low)}, {percent(interval.high)}]"


def _working_attack(case: Case, frontier: Frontier) -> str:
    """That an attack beats the baselines where nothing defends."""
    for setting in undefended(case.settings):
        name = gate_metric(setting, frontier.metric)
        if name is not None and setting.gates[name].leaks:
            gate = setting.gates[name]
            mean, guessed = metric_value(name, gate.mean), metric_value(name, gate.guessed)
            return (
                f"Without a defense {gate.attack} beats the best guess without updates ({metric_title(name)} {mean}, "
                f"{gate.baseline} {guessed})."
            )
    return ""


def _what_would_change(best: Setting, chosen: Setting, frontier: Frontier) -> str:
    """What would make another setting the recommended one, and the doubts of the runs."""
    least = (best.accuracy.mean if best.accuracy else 0.0) - frontier.accuracy_loss
    attack = f"an attack that rebuilds more of {chosen.name or 'it'} than these did"
    reasons = [attack, f"an accuracy below {percent(max(0.0, least))} there", "other images, rounds or models"]
    doubts = "".join(f" Note: {doubt.title}: {doubt.what}." for doubt in stated_doubts(chosen))
    return f"What would change it: {', '.join(reasons[:-1])}, or {reasons[-1]}.{doubts}"


def _overlap(left: Setting, right: Setting, frontier: Frontier) -> bool:
    first, second = (setting.leaks[frontier.metric].interval for setting in (left, right))
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return True
    return first.low <= second.high and second.low <= first.high


def _case(case: Case, frontier: Frontier, index: int) -> CasePage:
    measured = [s for s in case.settings if s.measures(frontier.metric) is not None]
    chart = None
    if measured:
        axis = f"{metric_title(frontier.metric)} of the strongest attack"
        label = f"Accuracy over {axis} for {plural(len(measured), 'setting')}, with dots sized by the bytes of a round"
        chart = Chart(Markup(_draw(measured, case, frontier, f"frontier-{index}")), label)  # noqa: S704 our own drawing
    return CasePage(
        name=case.name,
        sentence=recommendation(case, frontier),
        tone="holds" if case.recommended is not None else "unclear",
        lacking=missing_lines(case),
        chart=chart,
        rows=tuple(_row(setting, case, frontier) for setting in case.settings),
        missing=case.missing,
    )


def _row(setting: Setting, case: Case, frontier: Frontier) -> SettingRow:
    state, tone = _state(setting, case, frontier)
    spread = setting.accuracy
    accuracy = Number(DASH)
    if spread is not None:
        ends = f"{percent(spread.low)} to {percent(spread.high)}" if setting.seeds > 1 else ""
        accuracy = Number(percent(spread.mean), ends)
    return SettingRow(
        number=setting.number,
        name=setting.name,
        seeds=setting.seeds,
        accuracy=accuracy,
        leaks=tuple(_leak(name, setting.leaks.get(name)) for name in frontier.metrics),
        unaware=_leak(frontier.metric, setting.unaware.get(frontier.metric)),
        size=DASH if setting.bytes_per_round is None else count(round(setting.bytes_per_round)),
        privacy=privacy_number(setting.privacy),
        state=state,
        tone=tone,
    )


def _leak(metric: str, leak: Leak | None) -> Number:
    if leak is None:
        return Number(DASH)
    adapts = ", adaptive" if leak.adaptive else ""
    mean = metric_value(metric, leak.interval.mean)
    return Number(mean, interval_range(metric, leak.interval), f"{leak.attack}{adapts}")


def _state(setting: Setting, case: Case, frontier: Frontier) -> tuple[str, str]:
    if setting.measures(frontier.metric) is None:
        return "not measured", "unclear"
    if setting.number == case.recommended:
        return "recommended", "holds"
    if setting.dominated_by is not None:
        return f"dominated by {setting.dominated_by}", "unclear"
    return "on the frontier", "unclear"


def _draw(settings: list[Setting], case: Case, frontier: Frontier, name: str) -> str:
    with canvas(name, width=WIDTH, height=HEIGHT) as chart:
        sizes = [setting.bytes_per_round or 0.0 for setting in settings]
        for setting in settings:
            _dot(chart.axes, setting, frontier.metric, _diameter(setting.bytes_per_round or 0.0, sizes))
        best = next((s.accuracy for s in settings if s.number == case.most_accurate), None)
        if best is not None:
            line = 100 * (best.mean - frontier.accuracy_loss)
            chart.axes.axhline(line, color=MUTED, linewidth=1, linestyle="--")
        chart.axes.margins(0.08)
        chart.axes.set_xlabel(f"{axis_title(frontier.metric)}, strongest attack")
        chart.axes.set_ylabel("accuracy in %")
        return to_svg(chart)


def _dot(axes: Axes, setting: Setting, metric: str, diameter: float) -> None:
    accuracy, leak = setting.accuracy, setting.leaks[metric].interval
    if accuracy is None or not math.isfinite(leak.mean):
        return
    colour, x, y = SERIES[1], leak.mean, 100 * accuracy.mean
    if leak.low is not None and leak.high is not None and math.isfinite(leak.low) and math.isfinite(leak.high):
        axes.hlines(y, leak.low, leak.high, colors=MUTED, linewidth=0.8)
    face = PAPER if setting.dominated_by is not None else colour
    axes.plot([x], [y], marker="o", markersize=diameter, color=colour, markerfacecolor=face, linestyle="none")
    axes.annotate(str(setting.number), (x, y), xytext=(diameter / 2 + 3, 3), textcoords="offset points", color=INK)


def _diameter(size: float, sizes: list[float]) -> float:
    """Diameter on a log scale, since bytes may span orders of magnitude."""
    low, high = min(sizes), max(sizes)
    if low <= 0 or high <= low:
        return (SMALLEST + LARGEST) / 2
    return SMALLEST + (LARGEST - SMALLEST) * math.log(size / low) / math.log(high / low)
