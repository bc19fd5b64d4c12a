from __future__ import annotations

import numpy as np
import pytest

from fedleak.studies.claims.base import ClaimCheck, VerdictState, above_zero, missing, where_text, worst


def test_an_interval_above_zero_holds_and_one_below_does_not() -> None:
    assert above_zero("x", 1.0, np.linspace(0.5, 1.5, 100)).state == "reproduced"
    assert above_zero("x", -1.0, np.linspace(-1.5, -0.5, 100)).state == "not_reproduced"


def test_an_interval_around_zero_says_how_much_more_would_decide() -> None:
    check = above_zero("x", 1.0, np.linspace(-2.0, 4.0, 1001))
    assert check.state == "inconclusive"
    assert "about 9 times as many images or seeds" in check.hint  # reach 0.95 * 3 = 2.85; 2.85 squared = 8.1


def test_the_hint_tells_which_way_the_difference_points() -> None:
    assert "against the claim" in above_zero("x", -1.0, np.linspace(-4.0, 2.0, 100)).hint
    assert "hardly" in above_zero("x", 1e-6, np.linspace(-1, 1, 100)).hint
    assert "no difference" in above_zero("x", 0.0, np.zeros(10)).hint


def test_without_an_interval_nothing_is_decided() -> None:
    assert above_zero("x", 1.0, None).state == "inconclusive"


def check(state: VerdictState) -> ClaimCheck:
    return ClaimCheck(label="", value=1.0, state=state)


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        (["reproduced", "reproduced"], "reproduced"),
        (["reproduced", "inconclusive"], "inconclusive"),
        (["inconclusive", "not_reproduced", "reproduced"], "not_reproduced"),
        ([], "inconclusive"),
    ],
)
def test_a_claim_is_as_good_as_its_worst_case(states: list[VerdictState], verdict: VerdictState) -> None:
    assert worst(map(check, states)) == verdict


def test_words() -> None:
    assert where_text({"attack": "lti", "pairs": 100}) == "lti, pairs 100"
    assert missing("why", "what").hint == "why"
