"""The table of a study: attacks at every point, then baselines."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fedleak.report.marks import baseline_title
from fedleak.results.format import (
    DASH,
    count,
    interval_range,
    metric_title,
    metric_unit,
    metric_value,
    plural,
    privacy_loss,
)
from fedleak.studies.matrix import label_text, short_names
from fedleak.studies.records import PrivacySpent
from fedleak.studies.results import PairedDifference, StudyLine, StudyResults

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
    """One row for each baseline; its values at several points are a range."""
    lines: dict[str, list[StudyLine]] = {}
    for line in results.lines:
        if line.is_baseline:
            lines.setdefault(line.attack, []).append(line)
    return tuple(_baseline(same, results) for same in lines.values())


def _baseline(lines: list[StudyLine], results: StudyResults) -> AttackRow:
    row = _row(lines[0], results)
    if len(lines) == 1:
        return row
    images = {line.images for line in lines}
    return replace(
        row,
        labels=(ANY,) * len(results.axes),
        sample=row.sample if len(images) == 1 else Number(f"{count(min(images))} to {count(max(images))}"),
        numbers=tuple(_over_points(lines, metric, row.numbers[i]) for i, metric in enumerate(results.metrics)),
    )


def _over_points(lines: list[StudyLine], metric: str, first: tuple[Number, Number]) -> tuple[Number, Number]:
    """The value of a baseline, or its lowest and highest where points differ."""
    means = [line.metrics[metric].mean for line in lines if metric in line.metrics]
    if len({metric_value(metric, mean) for mean in means}) < 2:
        return first
    return Number(DASH), Number(f"{metric_value(metric, min(means))} to {metric_value(metric, max(means))}", "by point")


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


@dataclass(frozen=True)
class PairedRow:
    """A metric of one attack in two runs on the same images."""

    attack: str
    metric: str
    images: str
    first: str
    second: str
    difference: Number
    tone: str


def paired_rows(results: StudyResults) -> tuple[PairedRow, ...]:
    """Rows of the paired differences of a comparison."""
    return tuple(_paired(each, higher=each.metric in results.higher_is_better) for each in results.paired)


def _paired(paired: PairedDifference, *, higher: bool) -> PairedRow:
    name, interval = paired.metric, paired.difference
    apart = interval.low is not None and interval.high is not None and interval.low * interval.high > 0
    more = (interval.mean > 0) is higher
    tone = "" if not apart else "second leaks more" if more else "second leaks less"
    return PairedRow(
        attack=paired.attack,
        metric=f"{metric_title(name)}{f' in{unit}' if (unit := metric_unit(name)) else ''}",
        images=count(paired.images),
        first=metric_value(name, paired.first),
        second=metric_value(name, paired.second),
        difference=Number(metric_value(name, interval.mean), interval_range(name, interval)),
        tone=tone or "no difference shown",
    )


def _numbers(line: StudyLine, metric: str) -> tuple[Number, Number]:
    published = Number(metric_value(metric, line.published.get(metric)))
    interval = line.metrics.get(metric)
    if interval is None:
        return published, Number(DASH)
    return published, Number(metric_value(metric, interval.mean), interval_range(metric, interval))
