"""Accuracy of inferred labels at class level."""

from __future__ import annotations

from collections.abc import Sequence, Set

from fedleak.results.schema import ResultRow


def class_accuracies(rows: Sequence[ResultRow]) -> dict[tuple[int, int], float]:
    """Accuracy at class level, for each update whose labels were inferred.

    Jaccard index of the classes in the batch and the inferred ones: how often a class occurs does not matter, and
    naming every class scores low.
    """
    true: dict[tuple[int, int], set[int | None]] = {}
    guessed: dict[tuple[int, int], set[int | None]] = {}
    for row in rows:
        if row.label_guess is not None:
            true.setdefault(row.update, set()).add(row.label_true)
            guessed.setdefault(row.update, set()).add(row.label_guess)
    return {key: jaccard(true[key], guessed[key]) for key in true}


def jaccard(first: Set[object], second: Set[object]) -> float:
    """Jaccard index of two sets that are not both empty: size of the intersection over size of the union."""
    return len(first & second) / len(first | second)
