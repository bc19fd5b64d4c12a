from __future__ import annotations

import math

import pytest

from fedleak.report.verdict import RunVerdict, lowest_mse
from fedleak.report.verdict import decide as decide_results
from fedleak.results.judgement import TITLES
from fedleak.results.schema import AttackSummary, FederationRound, Interval, ReducedBudget
from tests.report.summaries import summary
from tests.results.sound import sound

NEAREST = summary("baseline_nearest_class", Interval(mean=0.05, low=0.045, high=0.055))
MEAN = summary("baseline_mean_image", Interval(mean=0.07, low=0.06, high=0.08))
STRONG = summary("git_coarse", Interval(mean=0.0122, low=0.011, high=0.0134), psnr=19.26)
WEAK = summary("dlg", Interval(mean=0.09, low=0.08, high=0.1))


def decide(summaries: tuple[AttackSummary, ...]) -> RunVerdict:
    """The verdict of a run that is sound but for these attacks and baselines."""
    return decide_results(sound().model_copy(update={"attacks": summaries}))


def test_verdict_names_the_strongest_attack_and_the_best_baseline() -> None:
    verdict = decide((WEAK, STRONG, MEAN, NEAREST))
    assert (verdict.tone, verdict.subject, verdict.caveats) == ("leaks", "git_coarse", ())
    assert verdict.predicate == (
        "rebuilds victims' images at MSE 0.0122 [0.0110, 0.0134] (19.3 dB), 4.1 times below the best baseline "
        "(nearest public image of the same class, 0.0500)."
    )


def test_verdict_admits_that_no_attack_beats_the_baselines() -> None:
    verdict = decide((WEAK, MEAN, NEAREST))
    assert verdict.missing == ()
    assert (verdict.tone, verdict.subject) == ("holds", "No attack")
    assert verdict.predicate.startswith("beats the baselines: dlg comes closest with MSE 0.0900")


def test_an_attack_that_beats_guessing_is_not_green_because_an_oracle_is_better() -> None:
    """The nearest public image of the true class is picked with the original at hand, which no adversary has."""
    between = summary("lti", Interval(mean=0.06, low=0.058, high=0.062))
    verdict = decide((between, MEAN, NEAREST))
    assert (verdict.tone, verdict.subject) == ("unclear", "lti")
    assert "closer than an adversary without updates can guess (mean public image, 0.0700)" in verdict.predicate


def test_verdict_is_unclear_where_intervals_overlap() -> None:
    close = summary("ig", Interval(mean=0.045, low=0.040, high=0.051))
    verdict = decide((close, NEAREST))
    assert verdict.tone == "unclear"
    assert "not established" in verdict.caveats[0]


def test_verdict_is_unclear_without_an_interval() -> None:
    assert decide((summary("ig", Interval(mean=0.01)), NEAREST)).tone == "unclear"


def test_verdict_counts_failures() -> None:
    assert decide((summary("dlg", None, failures=7), NEAREST)).predicate.endswith("; 7 reconstructions failed.")
    failing = STRONG.model_copy(update={"failures": 1})
    assert decide((failing, NEAREST)).caveats == ("This leaves out 1 failed reconstruction of git_coarse.",)


def test_verdict_on_perfect_copies() -> None:
    copy = summary("linear", Interval(mean=0.0, low=0.0, high=0.0))
    assert "exactly" in decide((copy, NEAREST)).predicate


def test_verdict_without_baselines_is_unclear() -> None:
    verdict = decide((STRONG,))
    assert (verdict.tone, verdict.subject) == ("unclear", "git_coarse")
    assert verdict.predicate == (
        "rebuilds victims' images at MSE 0.0122 [0.0110, 0.0134] (19.3 dB); there is no baseline to compare it with."
    )


def test_a_small_sample_is_a_caveat() -> None:
    few = STRONG.model_copy(update={"images": 15})
    assert decide((few, NEAREST)).caveats == ("It rests on only 15 images.",)
    assert decide((few.model_copy(update={"images": 16}), NEAREST)).caveats == ()


def test_theorems_are_no_baselines_to_beat() -> None:
    theory = summary("baseline_theory", Interval(mean=0.0)).model_copy(update={"is_theory": True})
    assert decide((STRONG, NEAREST, theory)).tone == "leaks"


def test_the_lowest_mean_wins_and_what_has_none_is_left_out() -> None:
    infinite = summary("inf", Interval(mean=math.inf))
    assert lowest_mse((WEAK, STRONG, summary("failed", None), infinite)) is STRONG
    assert lowest_mse((summary("failed", None), infinite)) is None


@pytest.mark.parametrize(("high", "tone"), [(0.0449, "leaks"), (0.045, "unclear")])
def test_intervals_that_touch_overlap(high: float, tone: str) -> None:
    close = summary("ig", Interval(mean=0.04, low=0.035, high=high))
    assert decide((close, NEAREST)).tone == tone


REDUCED = (ReducedBudget(setting="iterations", value=20, default=4000),)


def test_twenty_iterations_where_four_thousand_are_the_default_are_not_green() -> None:
    """The example of the project's rules for evidence."""
    verdict = decide((WEAK.model_copy(update={"reduced": REDUCED}), MEAN, NEAREST))
    assert (verdict.tone, verdict.subject) == ("unclear", "Unclear:")
    assert verdict.predicate.startswith("no attack beats the baselines: dlg comes closest with MSE 0.0900")
    assert verdict.predicate.endswith("This is no evidence of safety:")
    assert [each.kind for each in verdict.missing] == ["reduced_budget"]
    assert verdict.lines == (verdict.sentence, "missing: weaker than the attack's default budget")


def test_everything_that_is_missing_stands_in_one_line() -> None:
    """By condition, in a fixed order."""
    scenario = {"federation": {"client": {"postprocess": [{"kind": "top_k"}]}}}
    last = FederationRound(round=1, accuracy=0.1, loss=1.0, test_images=400)
    curves = {"held_out": [0.8**i for i in range(20)]}
    bad = WEAK.model_copy(update={"reduced": REDUCED, "images": 8, "failures": 1, "curves": curves})
    made = sound().model_copy(update={"attacks": (bad, NEAREST), "scenario": scenario, "federation": (last,)})
    verdict = decide_results(made)
    assert verdict.tone == "unclear"
    assert verdict.lines[1] == (
        "missing: not converged; weaker than the attack's default budget; no adaptive attacker; "
        "model has not learned; too few images; attack failed on some updates"
    )
    assert {each.kind for each in verdict.missing} == TITLES.keys() - {"single_leaks", "nothing_leaks"}


def test_a_leak_is_a_leak_whatever_is_missing() -> None:
    verdict = decide((STRONG.model_copy(update={"reduced": REDUCED}), NEAREST))
    assert (verdict.tone, verdict.missing) == ("leaks", ())
    assert verdict.lines == (verdict.sentence,)


def test_an_undecided_comparison_says_what_is_missing_too() -> None:
    close = summary("ig", Interval(mean=0.045, low=0.040, high=0.051)).model_copy(update={"reduced": REDUCED})
    verdict = decide((close, NEAREST))
    assert verdict.tone == "unclear"
    assert [each.kind for each in verdict.missing] == ["reduced_budget"]
