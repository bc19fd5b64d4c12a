"""The results table: attacks, then baselines."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fedleak.report.marks import BASELINE, Mark, display_name
from fedleak.results.format import (
    DASH,
    count,
    duration,
    interval_range,
    magnitude,
    memory,
    metric_title,
    metric_value,
    percent,
    significant,
)
from fedleak.results.schema import CORE_METRICS, AttackSummary, Results

_LABEL_SOURCES = {"inferred": "inferred", "true": "TRUE (oracle)", "attack": "by the attack", "none": ""}

MATCHING = "Matching loss"


@dataclass(frozen=True)
class TableCell:
    """A value, small print below it, and whether it is the best of the attacks."""

    text: str
    small: str = ""
    best: bool = False


@dataclass(frozen=True)
class TableColumn:
    """A heading; ``hint`` is small print below it."""

    title: str
    hint: str = ""


@dataclass(frozen=True)
class TableLine:
    """Row of one attack or baseline."""

    name: str
    kind: str
    description: str
    mark: Mark
    cells: tuple[TableCell, ...]


@dataclass(frozen=True)
class ResultsTable:
    """The table, ready for the template."""

    columns: tuple[TableColumn, ...]
    attacks: tuple[TableLine, ...]
    baselines: tuple[TableLine, ...]
    footnotes: tuple[str, ...]

    @property
    def has_matching(self) -> bool:
        """Whether it has a column of matching losses."""
        return any(column.title == MATCHING for column in self.columns)


CellOf = Callable[[AttackSummary], TableCell]
_COSTS: tuple[tuple[TableColumn, CellOf], ...] = (
    (TableColumn(MATCHING, "kept, start"), lambda s: _matching_cell(s)),
    (TableColumn("Labels", "by image, by class"), lambda s: TableCell(_label_accuracy(s), _label_source(s))),
    (TableColumn("Local steps", "as assumed"), lambda s: TableCell(s.local_knowledge or DASH)),
    (TableColumn("WSRR", "worst sample"), lambda s: TableCell(_worst_sample(s), next(iter(s.worst_sample), ""))),
    (
        TableColumn("Training", "time"),
        lambda s: TableCell(duration(s.training_seconds), "cached" if s.training_cached else ""),
    ),
    (TableColumn("Rebuilding", "each"), lambda s: TableCell(duration(s.seconds_per_reconstruction))),
    (TableColumn("Memory", "peak"), lambda s: TableCell(memory(s.peak_memory_bytes))),
    (TableColumn("Generator", "parameters"), lambda s: TableCell(magnitude(s.parameters))),
)


def results_table(results: Results, marks: dict[str, Mark]) -> ResultsTable:
    """Build the table from the summaries; empty columns are left out."""
    summaries = results.attacks
    metrics = [name for name in shown_metrics(summaries) if any(name in s.metrics for s in summaries)]
    costs = [(column, cell) for column, cell in _COSTS if any(cell(s).text != DASH for s in summaries)]
    best = {name: _best_mean(name, results) for name in metrics}
    told = _adaptivity_matters(results)
    lines = [(s, _line(s, best, [cell for _, cell in costs], marks, tells_adaptive=told)) for s in summaries]
    return ResultsTable(
        columns=(
            TableColumn("Images"),
            *(TableColumn(f"{metric_title(n)} {_direction(n, results)}") for n in metrics),
            *(column for column, _ in costs),
        ),
        attacks=tuple(line for s, line in lines if not s.is_baseline),
        baselines=tuple(line for s, line in lines if s.is_baseline),
        footnotes=_footnotes(results, shown_metrics(summaries)),
    )


def shown_metrics(summaries: tuple[AttackSummary, ...]) -> list[str]:
    """The core metrics, then others in order of appearance."""
    return list(dict.fromkeys([*CORE_METRICS, *(name for s in summaries for name in s.metrics)]))


def _adaptivity_matters(results: Results) -> bool:
    """Whether clients post-process their updates, so that attacks may adapt."""
    federation = results.scenario.get("federation")
    client = federation.get("client") if isinstance(federation, Mapping) else None
    return isinstance(client, Mapping) and bool(client.get("postprocess"))


def _line(
    summary: AttackSummary,
    best: dict[str, float | None],
    costs: list[CellOf],
    marks: dict[str, Mark],
    *,
    tells_adaptive: bool,
) -> TableLine:
    failed = f"{count(summary.failures)} failed" if summary.failures else ""
    failed = ", ".join(filter(None, (f"{count(summary.unscored)} not scored" if summary.unscored else "", failed)))
    kind = summary.kind if not summary.is_baseline and summary.kind != summary.attack else ""
    adaptive = "" if summary.adaptive is None else "adaptive" if summary.adaptive else "not adaptive"
    return TableLine(
        name=display_name(summary),
        kind=", ".join(text for text in (kind, adaptive if tells_adaptive else "") if text),
        description=summary.description,
        mark=BASELINE if summary.is_baseline else marks[summary.attack],
        cells=(
            TableCell(count(summary.images), failed),
            *(_metric_cell(summary, name, mean) for name, mean in best.items()),
            *(cell(summary) for cell in costs),
        ),
    )


def _metric_cell(summary: AttackSummary, name: str, best: float | None) -> TableCell:
    interval = summary.metrics.get(name)
    if interval is None:
        return TableCell(DASH)
    is_best = not summary.is_baseline and interval.mean == best
    return TableCell(metric_value(name, interval.mean), interval_range(name, interval), is_best)


def _best_mean(name: str, results: Results) -> float | None:
    """Best mean of the attacks, without baselines."""
    means = [s.metrics[name].mean for s in results.attacks if not s.is_baseline and name in s.metrics]
    finite = [mean for mean in means if math.isfinite(mean)]
    if not finite:
        return None
    return max(finite) if name in results.higher_is_better else min(finite)


def _direction(name: str, results: Results) -> str:
    return "↑" if name in results.higher_is_better else "↓"


def _matching_cell(summary: AttackSummary) -> TableCell:
    """The loss that was kept; below it the loss at the start, and whether searches had not ended."""
    matching = summary.matching
    if matching is None:
        return TableCell(DASH)
    unfinished = f", {count(matching.unfinished)} of {count(matching.updates)} not converged"
    small = f"from {significant(matching.start)}{unfinished if matching.unfinished else ''}"
    return TableCell(significant(matching.final), small)


def _worst_sample(summary: AttackSummary) -> str:
    return percent(next(iter(summary.worst_sample.values()), None))


def _label_accuracy(summary: AttackSummary) -> str:
    """Label accuracy by image, and by class if that differs, as in batches."""
    accuracies = (summary.label_accuracy, summary.label_accuracy_class)
    return ", ".join(dict.fromkeys(percent(value) for value in accuracies))


def _label_source(summary: AttackSummary) -> str:
    return _LABEL_SOURCES[summary.label_source]


def _footnotes(results: Results, metrics: list[str]) -> tuple[str, ...]:
    """Why metrics are absent, quoting the run's notes that name them."""
    footnotes = []
    for name in metrics:
        lacking = [display_name(s) for s in results.attacks if s.images and name not in s.metrics]
        if not lacking:
            continue
        pattern = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
        notes = [n.removeprefix(f"{name} is absent: ") for n in results.notes if pattern.search(n)]
        who = "" if len(lacking) == len([s for s in results.attacks if s.images]) else f" of {', '.join(lacking)}"
        footnotes.append(f"{DASH} {metric_title(name)}{who}: {' '.join(notes) or 'not measured in this run'}")
    return tuple(footnotes)
