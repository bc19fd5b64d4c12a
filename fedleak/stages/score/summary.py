"""Summary statistics over rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedleak.results.estimates import mean_interval
from fedleak.results.labels import class_accuracies
from fedleak.results.leakage import UpdateKey
from fedleak.results.schema import Interval, ResultRow, RoundSummary


def summarise_metrics(rows: Sequence[ResultRow]) -> dict[str, Interval]:
    """Mean and interval of every metric over ``rows``; metrics without values are left out."""
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    summary = {}
    for name in names:
        values = [(value, row.update) for row in rows if (value := row.metrics.get(name)) is not None]
        interval = mean_interval([value for value, _ in values], [update for _, update in values])
        if interval is not None:
            summary[name] = interval
    return summary


def summarise_rounds(rows: Sequence[ResultRow]) -> tuple[RoundSummary, ...]:
    """Mean and interval of every metric, separately for each round."""
    by_round: dict[int, list[ResultRow]] = {}
    for row in rows:
        by_round.setdefault(row.round, []).append(row)
    return tuple(
        RoundSummary(round=number, metrics=summarise_metrics(some)) for number, some in sorted(by_round.items())
    )


def label_accuracy(rows: Sequence[ResultRow]) -> float | None:
    """Instance level: share of images whose label was guessed correctly; None if no label was guessed."""
    guessed = [row for row in rows if row.label_guess is not None]
    if not guessed:
        return None
    return sum(row.label_guess == row.label_true for row in guessed) / len(guessed)


def label_accuracy_class(rows: Sequence[ResultRow]) -> float | None:
    """Mean of ``class_accuracies`` over updates; None if no label was guessed."""
    values = list(class_accuracies(rows).values())
    return sum(values) / len(values) if values else None


def mean_rates(rates: Mapping[str, Mapping[UpdateKey, float]]) -> dict[str, float]:
    """Mean of each rate over updates."""
    return {name: sum(by_update.values()) / len(by_update) for name, by_update in rates.items()}
