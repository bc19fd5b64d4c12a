from __future__ import annotations

import itertools
from typing import ClassVar, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedleak.metrics.base import Metric, MetricUnavailableError
from fedleak.metrics.mse import Mse
from fedleak.results.schema import ResultRow
from fedleak.stages.score.rows import METRIC_BATCH, MatchedImages, assign_labels, evaluate_metrics, match
from fedleak.stages.score.truth import Truth
from fedleak.transcript.manifest import UpdateRecord

UPDATE = UpdateRecord(row=0, round=3, client=5, model_version=2, samples=3, status="ok")


def truth_of(count: int, seed: int = 0) -> Truth:
    images = torch.rand(count, 1, 3, 3, generator=torch.Generator().manual_seed(seed))
    return Truth(images, torch.arange(count) % 3)


def score(images: torch.Tensor, truth: Truth, **settings: object) -> list[ResultRow]:
    scored = MatchedImages()
    scored.add_update(attack="a", kind="k", update=UPDATE, images=images, truth=truth, **settings)  # type: ignore[arg-type]
    return evaluate_metrics(scored, [Mse()], {})


def least_error(images: torch.Tensor, truth: torch.Tensor) -> float:
    """Over every way to give different reconstructions to different originals."""
    small, large = sorted((images, truth), key=len)
    orders = itertools.permutations(range(len(large)), len(small))
    return min(float((small - large[list(order)]).square().sum()) for order in orders)


@given(guessed=st.integers(1, 4), true=st.integers(1, 4), seed=st.integers(0, 99))
def test_matching_is_the_best_of_all_orders_also_when_rectangular(guessed: int, true: int, seed: int) -> None:
    images, truth = truth_of(guessed, seed).images, truth_of(true, seed + 100)
    places, originals = match(images, truth)
    assert len(places) == len(set(places)) == min(guessed, true)
    assert originals == sorted(set(originals))
    error = float((images[places] - truth.images[originals]).square().sum())
    assert error == pytest.approx(least_error(images, truth.images), rel=1e-4)


def test_a_shuffled_copy_scores_perfectly_and_rows_follow_the_batch() -> None:
    truth = truth_of(4)
    rows = score(truth.images[[2, 0, 3, 1]], truth)
    assert [row.image for row in rows] == [0, 1, 2, 3]
    assert [row.metrics["mse"] for row in rows] == [0.0] * 4
    assert [row.label_true for row in rows] == [0, 1, 2, 0]


def test_surplus_reconstructions_are_left_out() -> None:
    truth = truth_of(2)
    rows = score(torch.cat([torch.ones(1, 1, 3, 3), truth.images]), truth)
    assert [(row.image, row.metrics["mse"]) for row in rows] == [(0, 0.0), (1, 0.0)]


def test_originals_without_a_reconstruction_have_no_row() -> None:
    truth = truth_of(3)
    rows = score(truth.images[[2]], truth)
    assert [(row.image, row.metrics["mse"]) for row in rows] == [(2, 0.0)]


def test_rows_carry_where_they_come_from() -> None:
    row = score(truth_of(1).images, truth_of(1), seconds=1.5)[0]
    assert (row.attack, row.kind, row.victim, row.round, row.seconds, row.status) == ("a", "k", 5, 3, 1.5, "ok")


def test_values_outside_the_range_are_cut_before_scoring() -> None:
    truth = Truth(torch.ones(1, 1, 3, 3), torch.zeros(1, dtype=torch.int64))
    assert score(torch.full((1, 1, 3, 3), 7.0), truth)[0].metrics["mse"] == 0.0


@pytest.mark.parametrize(
    ("guesses", "labels", "assigned"),
    [
        ([0, 1, 2], [2, 0, 1], [2, 0, 1]),
        ([1, 1, 2], [2, 1, 0], [2, 1, 1]),
        ([4, 5, 1], [1, 1, 1], [1, 4, 5]),
        ([3], [3], [3]),
        ([0, 0, 7], [0, 0], [0, 0]),
    ],
)
def test_labels_are_assigned_so_that_as_many_as_possible_agree(
    guesses: list[int], labels: list[int], assigned: list[int]
) -> None:
    assert assign_labels(guesses, labels) == assigned


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.data())
def test_no_other_order_of_the_labels_agrees_more(labels: list[int], data: st.DataObject) -> None:
    guesses = data.draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels)))
    assigned = assign_labels(guesses, labels)
    best = max(sum(g == t for g, t in zip(order, labels, strict=True)) for order in itertools.permutations(guesses))
    assert sorted(assigned) == sorted(guesses)
    assert sum(g == t for g, t in zip(assigned, labels, strict=True)) == best


def test_an_attacks_own_labels_stay_with_their_images() -> None:
    truth = truth_of(3)  # labels 0, 1, 2
    rows = score(truth.images[[2, 0, 1]], truth, guesses=[7, 8, 9], labels_ordered=True)
    assert [row.label_guess for row in rows] == [8, 9, 7]


def test_inferred_labels_are_assigned_as_a_set() -> None:
    truth = truth_of(3)
    rows = score(truth.images[[2, 0, 1]], truth, guesses=[0, 1, 2])
    assert [row.label_guess for row in rows] == [0, 1, 2]


def test_too_few_guesses_leave_the_labels_absent() -> None:
    rows = score(truth_of(3).images, truth_of(3), guesses=[0])
    assert [row.label_guess for row in rows] == [None] * 3


class Missing(Metric):
    """Never to be had; counts how often it was asked."""

    kind: Literal["missing"] = "missing"
    higher_is_better: ClassVar[bool] = True
    asked: ClassVar[list[int]] = []

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        self.asked.append(len(truth))
        raise MetricUnavailableError("no weights")


def test_an_unavailable_metric_is_absent_noted_and_asked_once() -> None:
    scored, notes = MatchedImages(), dict[str, str]()
    scored.add_update(attack="a", kind="k", update=UPDATE, images=truth_of(2).images, truth=truth_of(2))
    Missing.asked.clear()
    for _ in range(2):
        rows = evaluate_metrics(scored, [Missing(), Mse()], notes)
    assert [row.metrics for row in rows] == [{"missing": None, "mse": 0.0}] * 2
    assert notes == {"missing": "no weights"}
    assert Missing.asked == [2]


def test_metrics_over_many_images_come_in_the_order_of_the_rows() -> None:
    count = METRIC_BATCH + 3
    scored = MatchedImages()
    levels = torch.linspace(0, 1, count)
    for level in levels:
        truth = Truth(torch.zeros(1, 1, 2, 2), torch.zeros(1, dtype=torch.int64))
        scored.add_update(attack="a", kind="k", update=UPDATE, images=level.expand(1, 1, 2, 2), truth=truth)
    values = [row.metrics["mse"] for row in evaluate_metrics(scored, [Mse()], {})]
    assert values == pytest.approx(levels.square().tolist(), abs=1e-6)


def test_no_rows_need_no_metrics() -> None:
    assert evaluate_metrics(MatchedImages(), [Mse()], {}) == []
