from __future__ import annotations

import pytest

from fedleak.studies.claims.less import Less
from tests.studies.builders import measurements

LOW, HIGH = [0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.3, 0.4, 0.5, 0.6]


def less(**settings: object) -> Less:
    sides = {"left": {"attack": "git"}, "right": {"attack": "lti"}}
    return Less.model_validate({"metric": "mse", **sides, **settings})


def test_a_constant_difference_on_the_same_images_is_established() -> None:
    measured = measurements([({}, {"git": {"mse": LOW}, "lti": {"mse": HIGH}})])
    (check,) = less().check(measured)
    assert check.value == pytest.approx(0.1)
    assert (check.low, check.high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert less().judge(measured).state == "reproduced"


def test_the_other_way_round_it_is_not_reproduced() -> None:
    measured = measurements([({}, {"git": {"mse": HIGH}, "lti": {"mse": LOW}})])
    assert less().judge(measured).state == "not_reproduced"


def test_a_noisy_difference_is_inconclusive() -> None:
    measured = measurements(
        [({}, {"git": {"mse": [0.1, 0.5, 0.2, 0.4, 0.3]}, "lti": {"mse": [0.5, 0.2, 0.4, 0.1, 0.4]}})]
    )
    verdict = less().judge(measured)
    assert verdict.state == "inconclusive"
    assert verdict.hints


def test_it_must_hold_at_every_point_that_it_does_not_name() -> None:
    good, bad = ({"git": {"mse": a}, "lti": {"mse": b}} for a, b in ((LOW, HIGH), (HIGH, LOW)))
    measured = measurements([({"pairs": 1}, good), ({"pairs": 2}, bad)])
    assert [check.state for check in less().check(measured)] == ["reproduced", "not_reproduced"]
    assert less(where={"pairs": 1}).judge(measured).state == "reproduced"


def test_two_points_of_one_attack_can_be_compared() -> None:
    measured = measurements([({"a.pairs": n}, {"lti": {"mse": v}}) for n, v in ((1, HIGH), (2, LOW))])
    claim = less(left={"pairs": 2}, right={"pairs": 1})
    assert claim.judge(measured).state == "reproduced"
    assert claim.statement() == "mse of pairs 2 is lower than of pairs 1"


def test_a_factor_asks_for_more() -> None:
    measured = measurements([({}, {"git": {"mse": [0.1] * 6}, "lti": {"mse": [0.3] * 6}})])
    assert less(factor=2.9).judge(measured).state == "reproduced"
    assert less(factor=3.1).judge(measured).state == "not_reproduced"


def test_a_baseline_may_be_a_side() -> None:
    measured = measurements([({}, {"git": {"mse": LOW}, "baseline_mean_image": {"mse": HIGH}})])
    assert less(right={"attack": "baseline_mean_image"}).judge(measured).state == "reproduced"


def test_a_side_that_failed_leaves_it_open() -> None:
    measured = measurements([({}, {"git": {"mse": LOW}})])
    verdict = less().judge(measured)
    assert verdict.state == "inconclusive"
    assert "was not measured" in verdict.hints[0]
    assert less(left={"attack": "none"}).judge(measured).hints == ("no finished cell matches",)
