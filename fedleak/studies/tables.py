"""Studies as tables on a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from fedleak.report.format import interval_range, metric_title, metric_value
from fedleak.studies.matrix import label_text, short_names
from fedleak.studies.results import Line, StudyResults

STYLES = {"reproduced": "green", "not_reproduced": "red", "inconclusive": "yellow"}


def lines_table(results: StudyResults) -> Table:
    """A line for each attack at each point: published and measured means with intervals."""
    published = {metric for line in results.lines for metric in line.published}
    table = Table(title=results.name, title_justify="left")
    short = short_names(results.axes)
    for axis in results.axes:
        table.add_column(short[axis])
    table.add_column("attack", no_wrap=True)
    table.add_column("images", justify="right")
    for metric in results.metrics:
        if metric in published:
            table.add_column(f"{metric_title(metric)} published", justify="right")
        table.add_column(metric_title(metric), justify="right", no_wrap=True)
    for line in results.lines:
        labels = [label_text(line.point[axis]) for axis in results.axes]
        cells = [cell for metric in results.metrics for cell in _cells(line, metric, published=metric in published)]
        table.add_row(*labels, line.attack, str(line.images), *cells, style="dim" if line.is_baseline else None)
    return table


def _cells(line: Line, metric: str, *, published: bool) -> list[str]:
    interval = line.metrics.get(metric)
    measured = "-" if interval is None else f"{metric_value(metric, interval.mean)} {interval_range(metric, interval)}"
    return [metric_value(metric, line.published.get(metric)), measured] if published else [measured]


def verdicts_text(results: StudyResults) -> Text:
    """A line for each claim, and what would decide it."""
    text = Text()
    for verdict in results.verdicts:
        text.append(f"{verdict.state.replace('_', ' ')}: ", style=STYLES[verdict.state])
        text.append(f"{verdict.statement}\n")
        for hint in verdict.hints[:2]:
            text.append(f"    would decide it: {hint}\n", style="dim")
    return text
