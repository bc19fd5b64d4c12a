from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from fedleak.studies.claims.correlates import Correlates, spearman
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
    measured = points((1, 10), (2, 20), (3, 40))
    assert correlates().judge(measured).state == "reproduced"
    assert correlates(direction="negative").judge(measured).state == "not_reproduced"


def test_a_weak_correlation_does_not_pass_a_high_bar() -> None:
    measured = points((1, 1), (2, 3), (3, 2))  # rho = 0.5
    (check,) = correlates(stronger_than=0.6).check(measured)
    assert check.value == pytest.approx(-0.1)
    assert check.state == "not_reproduced"


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
