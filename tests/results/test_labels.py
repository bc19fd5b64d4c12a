from __future__ import annotations

import pytest

from fedleak.results.labels import class_accuracies, jaccard
from fedleak.results.schema import ResultRow


def labelled(
    victim: int, true: list[int], guessed: list[int | None], *, summed: tuple[int, ...] = ()
) -> list[ResultRow]:
    pairs = zip(true, guessed, strict=True)
    return [
        ResultRow(attack="a", kind="k", victim=victim, round=1, summed=summed, label_true=t, label_guess=g)
        for t, g in pairs
    ]


def test_class_accuracy_by_hand() -> None:
    """Classes 0, 1, 2 were there; 0, 1, 3 were named: 2 of 4."""
    rows = [*labelled(1, [0, 0, 1, 2], [0, 1, 1, 3]), *labelled(2, [4, 4], [4, 4])]
    assert class_accuracies(rows) == {(1, 1): 0.5, (2, 1): 1.0}


def test_naming_every_class_is_no_success() -> None:
    assert class_accuracies(labelled(1, [0] * 10, list(range(10)))) == {(1, 1): pytest.approx(0.1)}


def test_the_clients_of_a_sum_are_one_update() -> None:
    rows = labelled(1, [0], [0], summed=(1, 2)) + labelled(2, [5], [0], summed=(1, 2))
    assert class_accuracies(rows) == {(1, 1): 0.5}


def test_rows_without_a_guess_do_not_count() -> None:
    assert class_accuracies(labelled(1, [0, 1], [0, None])) == {(1, 1): 1.0}
    assert class_accuracies(labelled(1, [0], [None])) == {}


@pytest.mark.parametrize(
    ("first", "second", "share"), [({1, 2}, {2, 3}, 1 / 3), ({1}, {1}, 1.0), ({1}, {2}, 0.0), (set(), {2}, 0.0)]
)
def test_jaccard_by_hand(first: set[int], second: set[int], share: float) -> None:
    assert jaccard(first, second) == pytest.approx(share)
