"""Failures, grouped so that a hundred equal ones are one line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from fedleak.results.schema import FederationRound, ResultRow

CLIENTS_NAMED = 6
"""Maximum number of clients whose rounds are listed."""
RUNS_NAMED = 8
"""Maximum number of ranges of rounds listed per client."""


@dataclass(frozen=True)
class Failure:
    """One reason for failures, where it occurred and how often."""

    where: str
    reason: str
    times: int
    places: str


def failed_attacks(rows: tuple[ResultRow, ...]) -> tuple[Failure, ...]:
    """Failed rows by attack and reason."""
    groups: dict[tuple[str, str], list[ResultRow]] = defaultdict(list)
    for row in rows:
        if row.status == "failed":
            groups[row.attack, row.reason].append(row)
    return tuple(
        Failure(attack, reason or "no reason given", len(found), _clients(found))
        for (attack, reason), found in groups.items()
    )


def failed_clients(rounds: tuple[FederationRound, ...]) -> tuple[Failure, ...]:
    """Failures of the federation as recorded by the server, by reason."""
    groups: dict[str, list[int]] = defaultdict(list)
    for record in rounds:
        for failure in record.failures:
            groups[failure].append(record.round)
    return tuple(
        Failure("federation", failure, len(numbers), rounds_in_words(numbers)) for failure, numbers in groups.items()
    )


def _clients(rows: list[ResultRow]) -> str:
    rounds: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        rounds[row.victim].append(row.round)
    named = [f"client {v} in {rounds_in_words(rounds[v])}" for v in sorted(rounds)]
    more = len(named) - CLIENTS_NAMED
    return "; ".join(named[:CLIENTS_NAMED]) + (f"; {more} more" if more > 0 else "")


def rounds_in_words(numbers: Iterable[int]) -> str:
    """``rounds 1-3, 7``; equal numbers count once."""
    ordered = sorted(set(numbers))
    runs: list[list[int]] = []
    for number in ordered:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    ending = ", ..." if len(texts) > RUNS_NAMED else ""
    return f"{'round' if len(ordered) == 1 else 'rounds'} {', '.join(texts[:RUNS_NAMED])}{ending}"
