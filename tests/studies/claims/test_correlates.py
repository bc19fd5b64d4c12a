from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from fedleak.studies.claims.correlates import Correlates, chance_of_correlation, spearman
from fedleak.studies.measurements import Measurements
from tests.studies.builders import measurements

NOISE = np.random.default_rng(0).normal(0, 0.01, 20)


def points(*pairs: tuple[float, float]) -> Measurements:
    return measurements(
        [({"p": i}, {"a": {"x": (x + NOISE).tolist(), "y": (y + NOISE).tolist()}}) for i, (x, y) in enumerate(pairs)]
    )


def correlates(**settings: Any) -> Correlates:
    return Correlates.model_validate({"x": "x", "y": "y", **settings})


def test_ranks_that_agree_correlate() -> None:
    measured = points((1, 10), (2, 20), (3, 40), (4, 41), (5, 50), (6, 70))
    assert correlates().judge(measured).state == "reproduced"
    assert correlates(direction="negative").judge(measured).state == "not_reproduced"


def test_a_weak_correlation_does_not_pass_a_high_bar() -> None:
    measured = points((1, 1), (2, 3), (3, 2))  # rho = 0.5
    (check,) = correlates(stronger_than=0.6).check(measured)
    assert check.value == pytest.approx(-0.1)
    assert check.state == "inconclusive"


def test_few_points_that_agree_may_do_so_by_chance() -> None:
    """Of six orders of three points, two agree wholly (one way or the other): p = 1/3."""
    (check,) = correlates().check(points((1, 10), (2, 20), (3, 40)))
    assert (check.value, check.state) == (1.0, "inconclusive")
    assert chance_of_correlation(np.arange(3.0), np.array([10.0, 20.0, 40.0])) == pytest.approx(1 / 3)


def test_a_weak_correlation_over_eight_rounds_is_not_established() -> None:
    """rho = 0.31 over eight points is p = 0.46; resampling the images alone called it reproduced."""
    order = [3, 1, 8, 4, 2, 6, 5, 7]
    measured = points(*((float(i), float(o)) for i, o in enumerate(order)))
    (check,) = correlates().check(measured)
    assert check.value == pytest.approx(spearmanr(range(8), order).statistic)
    assert check.state == "inconclusive"
    assert check.low is not None
    assert check.low < 0


@pytest.mark.parametrize("order", [[3, 1, 2, 5, 4, 6], [3, 1, 8, 4, 2, 6, 5, 7, 9]])
def test_the_chance_of_a_correlation_is_that_of_its_permutations(order: list[int]) -> None:
    x, y = np.arange(float(len(order))), np.array(order, dtype=float)
    own = abs(spearmanr(x, y).statistic)
    draws = np.random.default_rng(1)
    as_strong = np.mean([abs(spearmanr(draws.permutation(x), y).statistic) >= own - 1e-9 for _ in range(4000)])
    assert chance_of_correlation(x, y) == pytest.approx(as_strong, abs=0.03)


def test_two_points_are_too_few() -> None:
    assert correlates().judge(points((1, 1), (2, 2))).state == "inconclusive"


def test_spearman_is_scipys() -> None:
    x, y = np.random.default_rng(1).integers(0, 5, size=(2, 4, 12)).astype(float)
    expected = [spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    assert spearman(x, y) == pytest.approx(expected)


def test_a_constant_side_has_no_correlation() -> None:
    assert spearman(np.ones((1, 4)), np.arange(4.0)[None]) == 0


def test_words() -> None:
    assert correlates(stronger_than=0.5).statement() == "x and y correlate positively beyond 0.5"


def test_a_claim_of_a_strong_correlation_is_refuted_by_a_weak_one() -> None:
    """No correlation at all among forty points is clearly below 0.8; that it is likely by chance is no objection."""
    draws = np.random.default_rng(5)
    measured = points(*zip(draws.permutation(40).astype(float), draws.permutation(40).astype(float), strict=True))
    assert correlates(stronger_than=0.8).judge(measured).state == "not_reproduced"
