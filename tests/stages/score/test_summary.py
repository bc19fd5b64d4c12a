from __future__ import annotations

import pytest
from scipy import stats

from fedleak.results.schema import ResultRow
from fedleak.stages.score.summary import (
    label_accuracy,
    label_accuracy_class,
    mean_rates,
    summarise_metrics,
    summarise_rounds,
)


def row(round_number: int = 1, *, guess: int | None = None, **metrics: float | None) -> ResultRow:
    return ResultRow(
        attack="a", kind="k", victim=1, round=round_number, image=0, metrics=metrics, label_true=1, label_guess=guess
    )


def test_means_are_over_images() -> None:
    summary = summarise_metrics([row(mse=0.1, psnr=10.0), row(mse=0.3, psnr=20.0)])
    assert {name: interval.mean for name, interval in summary.items()} == pytest.approx({"mse": 0.2, "psnr": 15.0})


def test_intervals_are_over_updates() -> None:
    """Two images of each of five victims: their means are 0.1, 0.2, 0.3, 0.4, 0.5."""
    rows = [row(mse=0.1 * v + d).model_copy(update={"victim": v}) for v in range(1, 6) for d in (-0.05, 0.05)]
    expected = stats.ttest_1samp([0.1, 0.2, 0.3, 0.4, 0.5], 0).confidence_interval()
    assert summarise_metrics(rows)["mse"].low == pytest.approx(expected.low)


def test_absent_values_do_not_count() -> None:
    summary = summarise_metrics([row(mse=0.1, lpips=None), row(mse=None, lpips=None)])
    assert set(summary) == {"mse"}
    assert summary["mse"].mean == 0.1
    assert summary["mse"].low is None


def test_rounds_are_summarised_apart_and_in_order() -> None:
    rounds = summarise_rounds([row(2, mse=0.4), row(1, mse=0.1), row(2, mse=0.6)])
    assert [(r.round, r.metrics["mse"].mean) for r in rounds] == [(1, 0.1), (2, 0.5)]


def test_label_accuracy_counts_guessed_rows_only() -> None:
    assert label_accuracy([row(guess=1), row(guess=0), row(guess=1), row()]) == pytest.approx(2 / 3)


def test_label_accuracy_is_absent_without_guesses() -> None:
    assert label_accuracy([row(), row()]) is None


def labelled(victim: int, true: list[int], guessed: list[int]) -> list[ResultRow]:
    rows = zip(true, guessed, strict=True)
    return [ResultRow(attack="a", kind="k", victim=victim, round=1, label_true=t, label_guess=g) for t, g in rows]


def test_class_accuracy_is_the_mean_over_updates() -> None:
    """Update 1: classes 0, 1, 2 were there; 0, 1, 3 were named: 2 of 4. Update 2: all right."""
    rows = [*labelled(1, [0, 0, 1, 2], [0, 1, 1, 3]), *labelled(2, [4, 4], [4, 4])]
    assert label_accuracy_class(rows) == 0.75


def test_class_accuracy_is_absent_without_guesses() -> None:
    assert label_accuracy_class([row(), row()]) is None


def test_rates_are_averaged_over_updates() -> None:
    assert mean_rates({"wsrr": {(1, 1): 0.5, (2, 1): 1.0}, "wsrr_ssim": {(1, 1): 0.0}}) == {
        "wsrr": 0.75,
        "wsrr_ssim": 0.0,
    }
    assert mean_rates({}) == {}
