from __future__ import annotations

import math

import pytest

from fedleak.report.verdict import decide, lowest_mse
from fedleak.results.schema import Interval
from tests.report.summaries import summary

NEAREST = summary("baseline_nearest_class", Interval(mean=0.05, low=0.045, high=0.055))
MEAN = summary("baseline_mean_image", Interval(mean=0.07, low=0.06, high=0.08))
STRONG = summary("git_coarse", Interval(mean=0.0122, low=0.011, high=0.0134), psnr=19.26)
WEAK = summary("dlg", Interval(mean=0.06, low=0.05, high=0.07))


def test_verdict_names_the_strongest_attack_and_the_best_baseline() -> None:
    verdict = decide((WEAK, STRONG, MEAN, NEAREST))
    assert (verdict.tone, verdict.subject, verdict.caveats) == ("leaks", "git_coarse", ())
    assert verdict.predicate == (
        "rebuilds victims' images at MSE 0.0122 [0.0110, 0.0134] (19.3 dB), 4.1 times below the best baseline "
        "that sees no update (nearest public image of the same class, 0.0500)."
    )


def test_verdict_admits_that_no_attack_beats_the_baselines() -> None:
    verdict = decide((WEAK, MEAN, NEAREST))
    assert (verdict.tone, verdict.subject) == ("holds", "No attack")
    assert verdict.predicate.startswith("beats the baselines: dlg comes closest with MSE 0.0600")


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
    few = STRONG.model_copy(update={"images": 9})
    assert decide((few, NEAREST)).caveats == ("It rests on only 9 images.",)
    assert decide((few.model_copy(update={"images": 10}), NEAREST)).caveats == ()


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
