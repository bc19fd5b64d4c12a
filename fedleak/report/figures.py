"""Selection of the values that each chart shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from fedleak.report.charts import (
    BANDS_UP_TO,
    Course,
    Distribution,
    accuracy_by_round,
    analysis_by_round,
    learning_curves,
    metric_by_round,
    mse_distribution,
)
from fedleak.report.marks import BASELINE, Mark, display_name
from fedleak.report.verdict import lowest_mse
from fedleak.results.format import count, metric_title
from fedleak.results.schema import EVIDENCE_BOUND, WEIGHT_DISTANCE, AttackSummary, Results

QUANTITIES = {
    "train": "MSE",
    "held_out": "MSE",
    WEIGHT_DISTANCE: "relative distance of weights",
    EVIDENCE_BOUND: "negative evidence bound in nats",
}
"""Name of a learning curve -> what it measures; a curve of another name is a quantity by that name."""
_ROUND_METRICS = {"psnr": "PSNR in dB", "mse": "MSE"}


@dataclass(frozen=True)
class Chart:
    """A chart with its label and an optional heading."""

    svg: Markup
    label: str
    mark: Mark | None = None
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Key:
    """One entry of a legend."""

    name: str
    mark: Mark


@dataclass(frozen=True)
class Figures:
    """All charts of a report."""

    rounds: tuple[Chart, ...]
    round_keys: tuple[Key, ...]
    bands: bool
    """Whether the intervals by round are drawn."""
    baseline: str
    """Name of the baseline drawn as a dashed line; empty if there is none."""
    learning: tuple[Chart, ...]
    distribution: Chart | None


def draw_figures(results: Results, marks: dict[str, Mark]) -> Figures:
    """Draw all charts of the results."""
    attacks = [summary for summary in results.attacks if not summary.is_baseline]
    baseline = lowest_mse(s for s in results.attacks if s.is_baseline and not s.is_theory)
    keys = tuple(Key(s.attack, marks[s.attack]) for s in attacks if s.rounds)
    return Figures(
        rounds=_round_charts(results, attacks, baseline, marks),
        round_keys=keys,
        bands=len(keys) <= BANDS_UP_TO,
        baseline=display_name(baseline) if baseline else "",
        learning=_learning_charts([s for s in attacks if _curves(s)], marks),
        distribution=_distribution_chart(results, marks),
    )


def _round_charts(
    results: Results, attacks: list[AttackSummary], baseline: AttackSummary | None, marks: dict[str, Mark]
) -> tuple[Chart, ...]:
    courses = [Course(marks[s.attack], s.rounds) for s in attacks if s.rounds]
    numbers = [r.round for r in results.federation] + [r.round for c in courses for r in c.rounds]
    if not numbers:
        return ()
    margin = max(0.5, 0.02 * (max(numbers) - min(numbers)))
    limits = (min(numbers) - margin, max(numbers) + margin)
    charts = []
    for metric, title in _ROUND_METRICS.items():
        if any(metric in r.metrics for c in courses for r in c.rounds):
            level = baseline.metrics.get(metric) if baseline else None
            svg = metric_by_round(metric, courses, baseline=level.mean if level else None, limits=limits)
            charts.append(Chart(Markup(svg), f"{title} of each attack by round", title=title))  # noqa: S704 drawn by us
    if any(math.isfinite(record.accuracy) for record in results.federation):
        label = "Test accuracy of the global model by round"
        svg = accuracy_by_round(results.federation, limits=limits)
        charts.append(Chart(Markup(svg), label, title="Test accuracy of the model in %"))  # noqa: S704 drawn by us
    return (*charts, *_analysis_charts(results, limits))


def _analysis_charts(results: Results, limits: tuple[float, float]) -> Iterator[Chart]:
    """One chart for each analysis of the leaked model."""
    for kind in dict.fromkeys(kind for r in results.federation for kind in r.analyses):
        title = f"{metric_title(kind)}, first value = 1"
        svg = analysis_by_round(kind, results.federation, limits=limits)
        label = f"{metric_title(kind)} of the leaked model by round"
        yield Chart(Markup(svg), label, title=title)  # noqa: S704 drawn by us


def _curves(summary: AttackSummary) -> dict[str, list[float]]:
    return {k: v for k, v in summary.curves.items() if any(math.isfinite(value) for value in v)}


def _learning_charts(attacks: list[AttackSummary], marks: dict[str, Mark]) -> tuple[Chart, ...]:
    """One small chart per trained attack and quantity; those of one quantity have the same axes."""
    by_quantity: dict[str, dict[str, dict[str, list[float]]]] = {}
    for summary in attacks:
        for name, curve in _curves(summary).items():
            quantity = QUANTITIES.get(name, metric_title(name))
            by_quantity.setdefault(quantity, {}).setdefault(summary.attack, {})[name] = curve
    cached = {summary.attack for summary in attacks if summary.training_cached}
    charts: list[Chart] = []
    for quantity, of_attacks in by_quantity.items():
        every = [curve for curves in of_attacks.values() for curve in curves.values()]
        values = [value for curve in every for value in curve if math.isfinite(value)]
        for attack, curves in of_attacks.items():
            svg = learning_curves(
                f"{len(charts)}-{attack}",
                curves,
                quantity=quantity,
                mark=marks[attack],
                bounds=(min(values), max(values)),
                epochs=max(map(len, every)),
            )
            note = "from the cache" if attack in cached else ""
            label = f"{quantity} of {attack} by epoch"
            charts.append(Chart(Markup(svg), label, mark=marks[attack], title=attack, note=note))  # noqa: S704 drawn by us
    return tuple(charts)


def _distribution_chart(results: Results, marks: dict[str, Mark]) -> Chart | None:
    groups = []
    for summary in results.attacks:
        rows = [row.metrics.get("mse") for row in results.rows if row.attack == summary.attack and row.status == "ok"]
        values = tuple(value for value in rows if value is not None and math.isfinite(value))
        if values:
            mark = BASELINE if summary.is_baseline else marks[summary.attack]
            groups.append(Distribution(display_name(summary), mark, values))
    if not groups:
        return None
    images = count(max(len(group.values) for group in groups))
    svg = mse_distribution(groups)
    return Chart(Markup(svg), f"MSE of up to {images} single images for each attack and baseline")  # noqa: S704
