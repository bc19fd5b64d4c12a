from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedleak.report.failures import failed_attacks, failed_clients, rounds_in_words
from fedleak.results.schema import FederationRound, ResultRow


def test_equal_failures_are_one_line() -> None:
    def failure(victim: int, number: int, reason: str) -> ResultRow:
        return ResultRow.failed(reason, attack="ig", kind="ig", victim=victim, round=number)

    rows = [failure(1, n, "diverged") for n in (1, 2, 3, 7)] + [failure(2, 4, "diverged"), failure(1, 5, "")]
    first, second = failed_attacks((*rows, ResultRow(attack="ig", kind="ig", victim=1, round=9, image=0)))
    assert (first.times, first.places) == (5, "client 1 in rounds 1-3, 7; client 2 in round 4")
    assert (second.reason, second.times) == ("no reason given", 1)


def test_failures_of_the_federation_are_grouped_over_rounds() -> None:
    rounds = tuple(FederationRound(round=n, accuracy=0.5, loss=1.0, failures=("late",)) for n in (2, 3, 9))
    (failure,) = failed_clients(rounds)
    assert (failure.reason, failure.times, failure.places) == ("late", 3, "rounds 2-3, 9")


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12))
def test_rounds_in_words_names_every_round(numbers: list[int]) -> None:
    text = rounds_in_words(numbers).split(" ", 1)[1]
    if text.endswith("..."):
        return
    named: set[int] = set()
    for run in text.split(", "):
        first, _, last = run.partition("-")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == set(numbers)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([3], "round 3"),
        ([3, 3], "round 3"),
        ([2, 1], "rounds 1-2"),
        ([7, 1, 2, 3], "rounds 1-3, 7"),
        (range(1, 17, 2), "rounds 1, 3, 5, 7, 9, 11, 13, 15"),
        (range(1, 19, 2), "rounds 1, 3, 5, 7, 9, 11, 13, 15, ..."),
    ],
)
def test_rounds_in_words_by_hand(numbers: list[int], words: str) -> None:
    assert rounds_in_words(numbers) == words


def test_many_clients_are_counted() -> None:
    rows = tuple(ResultRow.failed("no", attack="ig", kind="ig", victim=v, round=1) for v in range(8))
    (failure,) = failed_attacks(rows)
    assert failure.places.endswith("client 5 in round 1; 2 more")


def test_attacks_are_apart() -> None:
    rows = tuple(ResultRow.failed("no", attack=name, kind="ig", victim=1, round=1) for name in ("a", "b", "a"))
    assert [(failure.where, failure.times) for failure in failed_attacks(rows)] == [("a", 2), ("b", 1)]
