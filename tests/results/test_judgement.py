"""Each condition by hand-made results: what a run lacks before a lack of leakage may count."""

from __future__ import annotations

from typing import Any

import pytest

from fedleak.results.judgement import (
    FEWEST_SCORED,
    REASONS,
    REMEDIES,
    TITLES,
    Shortcoming,
    defenses,
    judge,
    lacks_interval,
    not_learned,
    to_adapt_to,
)
from fedleak.results.schema import FederationRound, Interval, MatchingLoss, ReducedBudget, ResultRow, Results
from tests.results.sound import attack, sound

TOP_K: dict[str, Any] = {"federation": {"client": {"postprocess": [{"kind": "top_k"}]}}}


def found(results: Results) -> dict[str, str]:
    """Kind of a shortcoming -> what was found."""
    return {each.kind: each.what for each in judge(results)}


def matching(**changes: Any) -> MatchingLoss:
    """Ten searches that had ended."""
    plain = {"start": 1.0, "final": 0.1, "iterations": 4000, "late_fall": 0.0, "updates": 10, "unfinished": 0}
    return MatchingLoss.model_validate(plain | changes)


def test_a_sound_run_lacks_nothing() -> None:
    assert judge(sound()) == ()


def test_every_condition_has_its_words() -> None:
    assert TITLES.keys() == REASONS.keys() == REMEDIES.keys()
    one = Shortcoming(kind="few_images", what="w")
    assert (one.title, one.why, one.remedy) == (TITLES["few_images"], REASONS["few_images"], REMEDIES["few_images"])


@pytest.mark.parametrize(("unfinished", "lacks"), [(0, False), (1, False), (2, True)])
def test_a_search_that_still_falls_on_more_than_a_tenth_of_the_updates(unfinished: int, lacks: bool) -> None:
    results = sound(attack("ig", matching=matching(unfinished=unfinished, late_fall=0.2)))
    assert ("not_converged" in found(results)) == lacks
    if lacks:
        assert found(results)["not_converged"] == (
            "the matching loss of ig was still falling, or had not left its start, on 2 of 10 updates after "
            "4,000 iterations (by 20.0 % over the last tenth)"
        )


def test_a_training_whose_held_out_error_still_falls() -> None:
    falling = {"train": [1.0] * 20, "held_out": [0.8**i for i in range(20)]}
    assert "held-out error of lti was still falling" in found(sound(attack("lti", curves=falling)))["not_converged"]
    flat = {"train": [0.8**i for i in range(20)], "held_out": [1.0, *[0.5] * 19]}
    assert judge(sound(attack("lti", curves=flat))) == ()


def test_a_training_that_stopped_early_had_ended() -> None:
    assert judge(sound(attack("lti", curves={"held_out": [1.0, 0.2, *[0.3] * 12]}))) == ()


def test_a_budget_below_the_default_is_named() -> None:
    reduced = (ReducedBudget(setting="iterations", value=20, default=4000),)
    assert found(sound(attack("ig", reduced=reduced))) == {"reduced_budget": "ig has iterations 20, by default 4,000"}


@pytest.mark.parametrize(
    ("adaptive", "images", "lacks"), [(False, 40, True), (None, 40, True), (True, 40, False), (True, 0, True)]
)
def test_clients_that_postprocess_need_an_attack_that_adapts_and_rebuilt_something(
    adaptive: bool | None, images: int, lacks: bool
) -> None:
    other = attack("other", adaptive=False)
    results = sound(attack("ig", adaptive=adaptive, images=images), other, scenario=TOP_K)
    assert ("no_adaptive_attacker" in found(results)) == lacks
    if lacks:
        assert found(results)["no_adaptive_attacker"] == "the clients use top_k, and no attack that ran adapts to it"


def test_one_adaptive_attack_is_enough_and_none_is_needed_without_a_defense() -> None:
    assert judge(sound(attack("a", adaptive=False), attack("b", adaptive=True), scenario=TOP_K)) == ()
    assert judge(sound(attack("a", adaptive=False))) == ()


def test_what_counts_as_a_defense() -> None:
    scenario: dict[str, object] = {
        "federation": {
            "client": {
                "postprocess": [{"kind": "qsgd"}, "top_k"],
                "augment": [{"kind": "mixup"}],
                "dp_sgd": {"x": 1},
                "dropout": True,
            },
            "client_level_dp": {"noise": "local"},
            "secure_aggregation": {"kind": "any"},
        }
    }
    names = defenses(scenario)
    assert names == ("qsgd", "top_k", "mixup", "dp_sgd", "dropout", "client_level_dp", "secure_aggregation")
    assert to_adapt_to(names) == names[:-1]
    nothing = {"client": {"postprocess": [], "augment": (), "dp_sgd": None, "dropout": False}, "client_level_dp": None}
    assert defenses({"federation": nothing}) == defenses({}) == ()


@pytest.mark.parametrize(
    ("accuracy", "images", "learned"),
    [(0.11, 400, False), (0.13, 400, False), (0.14, 400, True), (0.2, 20, False), (0.9, 20, True), (0.0, 400, False)],
)
def test_a_model_has_learned_if_it_is_above_chance_by_its_binomial_interval(
    accuracy: float, images: int, learned: bool
) -> None:
    last = FederationRound(round=1, accuracy=accuracy, loss=1.0, test_images=images)
    assert ("not_learned" not in found(sound(federation=(last,)))) == learned
    assert (not_learned([accuracy], images, 0.1) == "") == learned


def test_the_model_of_the_last_round_counts_and_several_seeds_count_together() -> None:
    rounds = [FederationRound(round=i, accuracy=a, loss=1.0, test_images=400) for i, a in ((1, 0.9), (2, 0.1))]
    assert "10.0 % [" in found(sound(federation=tuple(rounds)))["not_learned"]
    assert not_learned([0.5, 0.6, 0.7], 400, 0.1) == ""
    assert not_learned([0.1, 0.9, 0.1], 400, 0.1) != "", "the seeds disagree"


@pytest.mark.parametrize("unknown", [{"chance": None}, {"federation": ()}])
def test_a_model_of_which_nothing_is_known_has_not_learned(unknown: dict[str, Any]) -> None:
    assert "not recorded" in found(sound(**unknown))["not_learned"]
    assert not_learned([0.9], None, 0.1) != ""


@pytest.mark.parametrize(("images", "lacks"), [(FEWEST_SCORED - 1, True), (FEWEST_SCORED, False)])
def test_too_few_images(images: int, lacks: bool) -> None:
    assert ("few_images" in found(sound(attack("ig", images=images)))) == lacks


def test_a_mean_without_an_interval_is_too_few_images() -> None:
    bare = {"mse": Interval(mean=0.09)}
    assert found(sound(attack("ig", metrics=bare))) == {"few_images": "the mean of ig has no interval"}
    assert found(sound(baseline=bare)) == {"few_images": "the mean of baseline_mean_image has no interval"}
    assert lacks_interval(None)


def test_nothing_rebuilt_is_no_evidence() -> None:
    results = sound(attack("ig", images=0, failures=8, metrics={}))
    assert found(results) == {
        "few_images": "no attack has rebuilt an image that could be scored", "failures": "ig failed on 8 updates"
    }  # fmt: skip
    assert "few_images" in found(sound(attacks=False))


def test_a_failure_on_some_updates() -> None:
    assert found(sound(attack("ig", failures=1))) == {"failures": "ig failed on 1 update"}


def test_theorems_and_baselines_are_no_attacks_to_judge() -> None:
    theory = attack("theory_bound", images=3, failures=2).model_copy(update={"is_theory": True})
    assert judge(sound(attack("ig"), theory)) == ()


@pytest.mark.parametrize(("mse", "leaks"), [(0.0069, True), (0.0071, False), (0.0, True)])
def test_a_single_image_that_leaks_is_not_hidden_by_the_mean(mse: float, leaks: bool) -> None:
    """The best baseline of the image has 0.07."""
    values = [("ig", mse, 0), ("ig", 0.2, 1), ("baseline_mean_image", 0.07, 0), ("baseline_mean_image", 0.07, 1)]
    rows = tuple(
        ResultRow(attack=name, kind=name, victim=1, round=1, image=image, metrics={"mse": value})
        for name, value, image in values
    )
    assert found(sound(rows=rows)) == (
        {"single_leaks": "ig rebuilds 1 of 40 images with an MSE more than 10 times below that of every baseline"}
        if leaks
        else {}
    )


def test_an_image_that_is_easy_to_guess_does_not_leak() -> None:
    """Closer than the baseline by ten times, but no closer than 20 dB; or no baseline has guessed it."""
    blind = ResultRow(attack="baseline_mean_image", kind="b", victim=1, round=1, image=0, metrics={"mse": 0.5})
    close = ResultRow(attack="ig", kind="ig", victim=1, round=1, image=0, metrics={"mse": 0.02})
    alone = ResultRow(attack="ig", kind="ig", victim=2, round=1, image=0, metrics={"mse": 0.0})
    assert judge(sound(rows=(blind, close, alone))) == ()


@pytest.mark.parametrize(
    ("accuracy", "images", "chance"),
    [(0.9, -2, 0.1), (0.9, 0, 0.1), (0.9, 10**400, 0.1), (float("nan"), 9, 0.1), (1e308, 9, 0.1), (0.9, 9, -1.0)],
)
def test_impossible_records_are_no_evidence(accuracy: float, images: int, chance: float) -> None:
    assert "not recorded" in not_learned([accuracy], images, chance)
