"""Tables of studies and frontiers for the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from fedleak.results.format import DASH, count, interval_range, metric_title, metric_value, percent
from fedleak.studies.matrix import label_text, short_names
from fedleak.studies.report.table import paired_rows, privacy_text
from fedleak.studies.results import StudyLine, StudyResults
from fedleak.studies.tradeoff import Case, Frontier, Setting

FURTHER = ("psnr", "leaked", "leaked_ssim", "wsrr", "wsrr_ssim")
"""Leakage metrics that the terminal shows in addition to the chosen one."""
TEXTS = ("setting", "privacy", "strongest attack", "")
"""Columns of the frontier's table that hold text."""
PAIRED_NUMBERS = ("images", "first", "second", "difference")
STYLES = {"reproduced": "green", "not_reproduced": "red", "inconclusive": "yellow", "nothing_leaked": "yellow"}


def lines_table(results: StudyResults) -> Table:
    """One line per attack and point: published and measured means with intervals."""
    published = {metric for line in results.lines for metric in line.published}
    table = Table(title=results.name, title_justify="left")
    short = short_names(results.axes)
    for axis in results.axes:
        table.add_column(short[axis])
    table.add_column("attack", no_wrap=True)
    table.add_column("images", justify="right")
    private = any(line.privacy is not None for line in results.lines)
    if private:
        table.add_column("privacy")
    for metric in results.metrics:
        if metric in published:
            table.add_column(f"{metric_title(metric)} published", justify="right")
        table.add_column(metric_title(metric), justify="right", no_wrap=True)
    for line in results.lines:
        labels = [label_text(line.point[axis]) for axis in results.axes]
        cells = [cell for metric in results.metrics for cell in _cells(line, metric, published=metric in published)]
        spent = [privacy_text(line.privacy) or DASH] if private else []
        table.add_row(*labels, line.attack, str(line.images), *spent, *cells, style="dim" if line.is_baseline else None)
    return table


def _cells(line: StudyLine, metric: str, *, published: bool) -> list[str]:
    interval = line.metrics.get(metric)
    measured = "-" if interval is None else f"{metric_value(metric, interval.mean)} {interval_range(metric, interval)}"
    return [metric_value(metric, line.published.get(metric)), measured] if published else [measured]


def paired_table(results: StudyResults) -> Table:
    """Differences of two runs on the same images."""
    table = Table(title="second run minus first, on the same images", title_justify="left")
    for heading in ("attack", "metric", "images", "first", "second", "difference", ""):
        table.add_column(heading, justify="right" if heading in PAIRED_NUMBERS else "left")
    for row in paired_rows(results):
        difference = f"{row.difference.text} {row.difference.small}".rstrip()
        table.add_row(row.attack, row.metric, row.images, row.first, row.second, difference, row.tone)
    return table


def frontier_table(case: Case, frontier: Frontier) -> Table:
    """One line per setting: accuracy, leakage by the strongest attack, bytes per round, and what dominates it."""
    table = Table(title=case.name or frontier.study, title_justify="left")
    metrics = (frontier.metric, *(name for name in FURTHER if name in frontier.metrics and name != frontier.metric))
    private = ["privacy"] if any(setting.privacy is not None for setting in case.settings) else []
    measured = ("accuracy", *private, *map(metric_title, metrics), "strongest attack", "bytes per round")
    for heading in ("#", "setting", *measured, ""):
        table.add_column(heading, justify="left" if heading in TEXTS else "right")
    for setting in case.settings:
        cells = _setting_cells(setting, case, metrics, private=bool(private))
        table.add_row(*cells, style="dim" if setting.dominated_by is not None else None)
    return table


def _setting_cells(setting: Setting, case: Case, metrics: tuple[str, ...], *, private: bool) -> list[str]:
    leaks = [setting.leaks.get(name) for name in metrics]
    state = "recommended" if setting.number == case.recommended else ""
    if setting.dominated_by is not None:
        state = f"dominated by {setting.dominated_by}"
    return [
        str(setting.number),
        setting.name,
        percent(setting.accuracy.mean if setting.accuracy else None),
        *([privacy_text(setting.privacy) or DASH] if private else []),
        *(metric_value(name, leak.interval.mean if leak else None) for name, leak in zip(metrics, leaks, strict=True)),
        f"{leaks[0].attack}{' (adaptive)' if leaks[0].adaptive else ''}" if leaks[0] else DASH,
        DASH if setting.bytes_per_round is None else count(round(setting.bytes_per_round)),
        state,
    ]


def verdicts_text(results: StudyResults) -> Text:
    """One line per claim, with hints what would decide it."""
    text = Text()
    for verdict in results.verdicts:
        text.append(f"{verdict.state.replace('_', ' ')}: ", style=STYLES[verdict.state])
        text.append(f"{verdict.statement}\n")
        for hint in verdict.hints[:2]:
            text.append(f"    would decide it: {hint}\n", style="dim")
    return text
