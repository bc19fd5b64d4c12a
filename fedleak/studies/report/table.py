"""The table of a study: attacks at every point, then baselines."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fedleak.report.marks import baseline_title
from fedleak.results.format import (
    DASH,
    count,
    interval_range,
    metric_title,
    metric_value,
    plural,
    privacy_loss,
)
from fedleak.studies.matrix import label_text, short_names
from fedleak.studies.records import PrivacySpent
from fedleak.studies.results import StudyLine, StudyResults

ANY = "any"


@dataclass(frozen=True)
class Number:
    """A value with up to two lines of small print below it."""

    text: str
    small: str = ""
    by: str = ""


def privacy_number(privacy: PrivacySpent | None) -> Number:
    """Epsilon, with delta, the unit of privacy and where it holds as small print."""
    if privacy is None:
        return Number(DASH)
    models_only = ", published models only" if privacy.noise == "server" else ""
    return Number(privacy_loss(privacy.epsilon), f"δ {privacy.delta:g}, {privacy.unit}{models_only}")


def privacy_text(privacy: PrivacySpent | None) -> str:
    """The same in one line; empty without differential privacy."""
    if privacy is None:
        return ""
    number = privacy_number(privacy)
    return f"ε {number.text} at {number.small}"


@dataclass(frozen=True)
class MetricColumn:
    """A metric; ``published`` if there are published numbers to compare with."""

    title: str
    published: bool


@dataclass(frozen=True)
class AttackRow:
    """One attack at one point: its labels, and the published and measured value of each metric."""

    labels: tuple[str, ...]
    attack: str
    adaptive: bool
    """Marked only if the study has adaptive and non-adaptive attacks."""
    sample: Number
    privacy: Number
    numbers: tuple[tuple[Number, Number], ...]


@dataclass(frozen=True)
class StudyTable:
    """The table, ready for the template."""

    axes: tuple[str, ...]
    columns: tuple[MetricColumn, ...]
    private: bool
    """Whether some line has differential privacy, so that there is a column for it."""
    attacks: tuple[AttackRow, ...]
    baselines: tuple[AttackRow, ...]

    @property
    def has_published(self) -> bool:
        """Whether any published number belongs to a measured point."""
        return any(column.published for column in self.columns)

    @property
    def width(self) -> int:
        """Number of columns of the HTML table."""
        return len(self.axes) + 2 + self.private + sum(1 + column.published for column in self.columns)


def study_table(results: StudyResults) -> StudyTable:
    """Build the table from the lines of the results."""
    short = short_names(results.axes)
    published = {metric for line in results.lines for metric in line.published}
    return StudyTable(
        axes=tuple(short[axis] for axis in results.axes),
        columns=tuple(
            MetricColumn(f"{metric_title(name)} {'↑' if name in results.higher_is_better else '↓'}", name in published)
            for name in results.metrics
        ),
        private=any(line.privacy is not None for line in results.lines),
        attacks=tuple(_row(line, results) for line in results.lines if not line.is_baseline),
        baselines=_baselines(results),
    )


def _baselines(results: StudyResults) -> tuple[AttackRow, ...]:
    """Rows of baselines; one with the same numbers at every point gets a single row."""
    rows: dict[str, list[AttackRow]] = {}
    for line in results.lines:
        if line.is_baseline:
            rows.setdefault(line.attack, []).append(_row(line, results))
    shown: list[AttackRow] = []
    for same in rows.values():
        if len(same) > 1 and len({(row.sample, row.numbers) for row in same}) == 1:
            shown.append(replace(same[0], labels=(ANY,) * len(results.axes)))
        else:
            shown += same
    return tuple(shown)


def _row(line: StudyLine, results: StudyResults) -> AttackRow:
    failed = f"{count(line.failures)} failed" if line.failures else ""
    seeds = plural(line.seeds, "seed") if line.seeds > 1 else ""
    return AttackRow(
        labels=tuple(label_text(line.point[axis]) for axis in results.axes),
        attack=baseline_title(line.attack) if line.is_baseline else line.attack,
        adaptive=bool(line.adaptive) and any(other.adaptive is False for other in results.lines),
        sample=Number(count(line.images), ", ".join(text for text in (seeds, failed) if text)),
        privacy=privacy_number(line.privacy),
        numbers=tuple(_numbers(line, metric) for metric in results.metrics),
    )


def _numbers(line: StudyLine, metric: str) -> tuple[Number, Number]:
    published = Number(metric_value(metric, line.published.get(metric)))
    interval = line.metrics.get(metric)
    if interval is None:
        return published, Number(DASH)
    return published, Number(metric_value(metric, interval.mean), interval_range(metric, interval))
