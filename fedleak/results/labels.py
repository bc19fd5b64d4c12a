"""Guessed labels against true ones."""

from __future__ import annotations

from collections.abc import Sequence, Set

from fedleak.results.schema import ResultRow


def class_accuracies(rows: Sequence[ResultRow]) -> dict[tuple[int, int], float]:
    """Class level, for each update whose labels were guessed.

    The classes that were rightly said to be in the batch, as a share of those that are in it or were said to be
    (Jaccard index): how often a class occurs does not matter, and naming every class is no success.
    """
    true: dict[tuple[int, int], set[int | None]] = {}
    guessed: dict[tuple[int, int], set[int | None]] = {}
    for row in rows:
        if row.label_guess is not None:
            true.setdefault(row.update, set()).add(row.label_true)
            guessed.setdefault(row.update, set()).add(row.label_guess)
    return {key: jaccard(true[key], guessed[key]) for key in true}


def jaccard(first: Set[object], second: Set[object]) -> float:
    """What two sets share, as a share of what is in either of them; they are not both empty."""
    return len(first & second) / len(first | second)
