from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from scipy import stats

from fedleak.results.estimates import Floats
from fedleak.studies.claims.at_least import AtLeast
from fedleak.studies.claims.base import (
    Claim,
    ClaimCheck,
    ClaimVerdict,
    VerdictState,
    Where,
    above_zero,
    correct,
    missing,
    where_text,
    worst,
)
from fedleak.studies.claims.less import Less
from fedleak.studies.claims.monotone import Monotone
from fedleak.studies.claims.within import Within
from fedleak.studies.measurements import Measurements
from tests.studies.builders import measurements, record


def draws(mean: float, error: float) -> Floats:
    """Draws with exactly this mean and standard deviation."""
    noise = np.random.default_rng(0).normal(size=500)
    return mean + error * (noise - noise.mean()) / noise.std()


def test_an_interval_above_zero_holds_and_one_below_does_not() -> None:
    assert above_zero("x", 1.0, draws(1, 0.3), 20).state == "reproduced"
    assert above_zero("x", -1.0, draws(-1, 0.3), 20).state == "not_reproduced"


def test_the_interval_and_p_value_are_students() -> None:
    """Few units need a larger multiple of the error: 4.30 for three, 1.96 for many."""
    few, many = (above_zero("x", 1.0, draws(1, 0.4), units) for units in (3, 10_000))
    assert (few.state, many.state) == ("inconclusive", "reproduced")
    assert few.low == pytest.approx(1 - 4.3027 * 0.4, abs=1e-3)
    assert few.p == pytest.approx(2 * stats.t.sf(2.5, 2))


def test_an_interval_around_zero_says_how_much_more_would_decide() -> None:
    check = above_zero("x", 1.0, draws(1, 1.45), 10_000)
    assert check.state == "inconclusive"
    assert "about 9 times as many images or seeds" in check.hint  # reach 1.96 * 1.45 = 2.84; 2.84 squared = 8.1


def test_the_hint_tells_which_way_the_difference_points() -> None:
    assert "against the claim" in above_zero("x", -1.0, draws(-1, 1), 20).hint
    assert "hardly" in above_zero("x", 1e-6, draws(0, 1), 20).hint
    assert "no difference" in above_zero("x", 0.0, np.zeros(10), 20).hint


def test_without_an_interval_nothing_is_decided() -> None:
    check = above_zero("x", 1.0, None, 1)
    assert (check.state, check.p) == ("inconclusive", None)
    assert "5 images in 3 updates or seeds" in check.hint


def check(state: VerdictState) -> ClaimCheck:
    return ClaimCheck(label="", value=1.0, state=state)


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        (["reproduced", "reproduced"], "reproduced"),
        (["reproduced", "inconclusive"], "inconclusive"),
        (["inconclusive", "not_reproduced", "reproduced"], "not_reproduced"),
        (["nothing_leaked", "nothing_leaked"], "nothing_leaked"),
        (["nothing_leaked", "reproduced"], "inconclusive"),
        (["nothing_leaked", "not_reproduced"], "not_reproduced"),
        ([], "inconclusive"),
    ],
)
def test_a_claim_is_as_good_as_its_worst_case(states: list[VerdictState], verdict: VerdictState) -> None:
    assert worst(map(check, states)) == verdict


def verdict(p: float | None, state: VerdictState = "reproduced") -> ClaimVerdict:
    own = ClaimCheck(label="", value=1.0, p=p, state=state)
    return ClaimVerdict(kind="less", statement="", state=state, checks=(own,), p=p)


def test_many_claims_are_judged_by_holms_correction() -> None:
    """.01 * 3, .02 * 2 and .04 * 1, none below the one before; the last alone would be reproduced."""
    found = correct([verdict(0.04), verdict(0.01), verdict(0.02)])
    assert [v.adjusted_p for v in found] == pytest.approx([0.04, 0.03, 0.04])
    assert {v.state for v in found} == {"reproduced"}
    one_of_ten = correct([verdict(0.03), *(verdict(None) for _ in range(9))])
    assert one_of_ten[0].state == "reproduced", "claims without any interval are no tests"
    undecided = ClaimVerdict(
        kind="less",
        statement="",
        state="inconclusive",
        checks=(ClaimCheck(label="", value=1.0, p=0.3, state="inconclusive"),),
    )
    one_of_ten = correct([verdict(0.03), *([undecided] * 9)])
    assert (one_of_ten[0].state, one_of_ten[0].adjusted_p) == ("inconclusive", pytest.approx(0.3))
    assert "among 10 claims" in one_of_ten[0].hints[0]


def test_a_claim_is_as_certain_as_its_least_certain_case() -> None:
    checks = [ClaimCheck(label="", value=1.0, p=p, state="reproduced") for p in (0.001, 0.03)]

    class Fixed(Claim):
        kind: Literal["fixed"] = "fixed"

        def check(self, measured: Measurements) -> list[ClaimCheck]:
            return checks

        def statement(self) -> str:
            return "fixed"

    assert Fixed().judge(measurements([({}, {"a": {"mse": [1.0]}})])).p == 0.03


GUESS = {"psnr": [12.0, 11.0, 12.5, 11.5, 12.0, 11.8]}


@pytest.mark.parametrize(
    ("weak", "strong", "state"),
    [
        (8.0, 9.0, "nothing_leaked"),
        (8.0, 20.0, "reproduced"),
        (12.0, 12.4, "nothing_leaked"),
        (20.0, 9.0, "not_reproduced"),
    ],
)
def test_a_claim_where_nothing_leaks_is_not_judged(weak: float, strong: float, state: VerdictState) -> None:
    """gradinv-t2 rose from 8.3 to 9.0 dB below a mean image of 11.6 and was called reproduced."""
    noise = [0.0, 0.3, -0.3, 0.1, -0.1, 0.2]
    cells = [
        ({"steps": steps}, {"ig": {"psnr": [mean + n for n in noise]}, "baseline_mean_image": GUESS})
        for steps, mean in ((1, weak), (2, strong))
    ]
    measured = measurements(cells, higher_is_better=("psnr",))
    for claim in (
        Less(metric="psnr", left={"steps": 1}, right={"steps": 2}),
        Monotone(metric="psnr", along="steps", direction="increasing"),
    ):
        found = claim.judge(measured)
        assert found.state == state
        if state == "nothing_leaked":
            assert "baseline_mean_image" in found.hints[0]


def test_the_prediction_of_a_theorem_is_no_guess_to_beat() -> None:
    """sok-thm43 rebuilt at 54 dB, far above every image without updates, and below 100 dB of what knew the truth."""
    others = {"theory_same_gradient": {"psnr": [100.0] * 6}, "baseline_mean_image": GUESS}
    measured = measurements([({}, {"ig": {"psnr": [54.0 + n for n in NOISE]}, **others})], higher_is_better=("psnr",))
    assert AtLeast(metric="psnr", value=50, where={"attack": "ig"}).judge(measured).state == "reproduced"


def test_without_a_baseline_a_claim_about_leakage_is_open() -> None:
    cell = record({"ig": {"psnr": [20.0, 21.0, 20.5, 20.2, 20.8]}}, higher_is_better=("psnr",))
    measured = Measurements((), 100)
    measured.add({}, 0, cell.model_copy(update={"attacks": tuple(m for m in cell.attacks if not m.is_baseline)}))
    found = AtLeast(metric="psnr", value=18).judge(measured)
    assert found.state == "inconclusive"
    assert "adversary.public_images" in found.hints[0]


NOISE = [0.0, 0.3, -0.3, 0.1, -0.1, 0.2]


def defended(undefended: float, other: float = 8.0) -> Measurements:
    """A defense that leaves ``ig`` and ``git`` below the mean image, and what they have without it."""
    means = {"none": (undefended, other), "noisy": (9.0, 9.5)}
    cells = [
        (
            {"defense": name},
            {a: {"psnr": [mean + n for n in NOISE]} for a, mean in zip(("ig", "git"), both, strict=True)},
        )
        for name, both in means.items()
    ]
    return measurements([(p, {**v, "baseline_mean_image": GUESS}) for p, v in cells], higher_is_better=("psnr",))


@pytest.mark.parametrize(("undefended", "state"), [(20.0, "reproduced"), (9.0, "nothing_leaked")])
def test_a_defense_is_judged_where_the_attack_leaks_without_it(undefended: float, state: VerdictState) -> None:
    where = {"attack": "ig", "defense": "noisy"}
    claim = Within(metric="psnr", high=18, where=where, control={"defense": "none"})
    found = claim.judge(defended(undefended))
    assert found.state == state
    assert Within(metric="psnr", high=18, where=where).judge(defended(undefended)).state == "nothing_leaked"
    if state == "nothing_leaked":
        assert "the positive control" in found.hints[0]
        assert "ig has psnr 9.033" in found.hints[0]


def test_one_attack_can_be_the_control_of_every_attack() -> None:
    where: Where = {"defense": "noisy"}
    each = Within(metric="psnr", high=18, where=where, control={"defense": "none"})
    one = Within(metric="psnr", high=18, where=where, control={"defense": "none", "attack": "ig"})
    assert [check.state for check in each.check(defended(20.0))] == ["reproduced", "nothing_leaked"]
    assert [check.state for check in one.check(defended(20.0))] == ["reproduced", "reproduced"]


def test_a_defense_that_fails_is_not_excused_by_its_control() -> None:
    claim = AtLeast(metric="psnr", value=18, where={"attack": "ig", "defense": "noisy"}, control={"defense": "none"})
    assert claim.judge(defended(20.0)).state == "not_reproduced"


def test_without_its_control_a_claim_is_open() -> None:
    cells = [({"defense": "noisy"}, {"ig": {"psnr": [9.0 + n for n in NOISE]}, "baseline_mean_image": GUESS})]
    measured = measurements(cells, higher_is_better=("psnr",))
    found = Within(metric="psnr", high=18, control={"defense": "none"}).judge(measured)
    assert found.state == "inconclusive"
    assert found.hints == ("psnr at the positive control (defense none)",)


@pytest.mark.parametrize(("leaked", "state"), [(1.0, "reproduced"), (0.0, "nothing_leaked")])
def test_rates_over_initialisations_are_gated_by_their_indicator(leaked: float, state: VerdictState) -> None:
    values = {"ig": {"leaked": [leaked] * 30, "wsrr": [0.5] * 30}, "baseline_mean_image": {"leaked": [0.0] * 30}}
    measured = measurements([({}, values)], higher_is_better=("leaked", "wsrr"))
    assert AtLeast(metric="wsrr", value=0.2, where={"attack": "ig"}).judge(measured).state == state


def test_claims_about_the_model_are_not_gated() -> None:
    cells = [({"p": p}, {"ig": {"final_accuracy": [a]}, "baseline_mean_image": GUESS}) for p, a in ((1, 0.3), (2, 0.9))]
    measured = measurements(cells, test_images=500)
    claim = Less(metric="final_accuracy", left={"p": 1}, right={"p": 2})
    assert claim.judge(measured).state == "reproduced"


def test_words() -> None:
    assert where_text({"attack": "lti", "pairs": 100}) == "lti, pairs 100"
    assert missing("why", "what").hint == "why"
