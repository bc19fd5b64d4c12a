"""The tables of a kept run's numbers, beside the published ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf

from fedleak.results.schema import Interval
from fedleak.studies.ledger import LedgerEntry, LedgerLine
from fedleak.studies.report.markdown import table, text

WIDEST = 8
"""Columns of numbers of a table that has a column for each attack."""
ROUND = "round"


def number_tables(entry: LedgerEntry) -> Iterator[str]:
    """One table for each set of axes; what is published stands in parentheses."""
    for lines in (entry.lines, entry.round_lines):
        by_axes: dict[tuple[str, ...], list[LedgerLine]] = {}
        for line in lines:
            by_axes.setdefault(tuple(line.point), []).append(line)
        for axes, some in by_axes.items():
            yield from _table(axes, some, _metrics(entry, some))


def _metrics(entry: LedgerEntry, lines: Iterable[LedgerLine]) -> list[str]:
    """Metrics of the study's table that were measured; those with published numbers, too."""
    found = {name: None for line in lines for name in line.metrics}
    published = {name: None for line in lines for name in line.published}
    return [name for name in dict.fromkeys((*entry.metrics, *published)) if name in found or name in published] or list(
        found
    )


def _table(axes: Sequence[str], lines: Sequence[LedgerLine], metrics: Sequence[str]) -> list[str]:
    attacks = list(dict.fromkeys(line.attack for line in lines))
    short = [axis.rpartition(".")[2] for axis in axes]
    names = short if len(set(short)) == len(short) else list(axes)
    if len(attacks) * len(metrics) > WIDEST:
        headings = [*names, "attack", *metrics]
        rows = [[*_labels(line), text(line.attack), *(_number(line, name) for name in metrics)] for line in lines]
        return table([text(heading) for heading in headings], rows)
    points: dict[tuple[str, ...], dict[str, LedgerLine]] = {}
    for line in lines:
        points.setdefault(tuple(_labels(line)), {})[line.attack] = line
    columns = [(attack, name) for attack in attacks for name in metrics]
    caption, headings = _headings(attacks, metrics)
    rows = [[*labels, *(_number(found.get(a), name) for a, name in columns)] for labels, found in points.items()]
    return [caption, "", *table([text(heading) for heading in (*names, *headings)], rows)]


def _headings(attacks: Sequence[str], metrics: Sequence[str]) -> tuple[str, list[str]]:
    """What all columns of numbers share, and their headings."""
    if len(metrics) == 1:
        return f"`{metrics[0]}`:", list(attacks)
    if len(attacks) == 1:
        return f"`{attacks[0]}`:", list(metrics)
    return "By attack and metric:", [f"{attack}: {name}" for attack in attacks for name in metrics]


def _labels(line: LedgerLine) -> list[str]:
    return [text(label) for label in line.point.values()]


def _number(line: LedgerLine | None, metric: str) -> str:
    if line is None:
        return ""
    interval = line.metrics.get(metric)
    parts = [] if interval is None else [shown(interval)]
    if metric in line.published:
        parts.append(f"(published {line.published[metric]:g})")
    return " ".join(parts)


def shown(interval: Interval) -> str:
    """``0.0123 [0.0111, 0.0135]``, or the mean alone."""
    if interval.low is None or interval.high is None:
        return _digits(interval.mean)
    return f"{_digits(interval.mean)} [{_digits(interval.low)}, {_digits(interval.high)}]"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < inf else f"{value:.4g}"
