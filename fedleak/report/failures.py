"""What went wrong, grouped so that a hundred equal failures are one line."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from fedleak.results.schema import FederationRound, ResultRow

EXAMPLES = 6
"""Places that are named one by one."""


@dataclass(frozen=True)
class Failure:
    """One reason, where it struck and how often."""

    where: str
    reason: str
    times: int
    places: str


def failed_attacks(rows: tuple[ResultRow, ...]) -> tuple[Failure, ...]:
    """Failed rows by attack and reason."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        if row.status == "failed":
            groups[row.attack, row.reason].append(f"client {row.victim} in round {row.round}")
    return tuple(
        Failure(attack, reason or "no reason given", len(places), _named(places))
        for (attack, reason), places in groups.items()
    )


def failed_clients(rounds: tuple[FederationRound, ...]) -> tuple[Failure, ...]:
    """Failures of the federation by what the server recorded."""
    groups: dict[str, list[int]] = defaultdict(list)
    for record in rounds:
        for failure in record.failures:
            groups[failure].append(record.round)
    return tuple(
        Failure("federation", failure, len(numbers), _named([f"round {n}" for n in dict.fromkeys(numbers)]))
        for failure, numbers in groups.items()
    )


def _named(places: list[str]) -> str:
    more = len(places) - EXAMPLES
    return ", ".join(places[:EXAMPLES]) + (f" and {more} more" if more > 0 else "")
