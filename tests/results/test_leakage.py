from __future__ import annotations

from fedleak.results.leakage import repeats, worst_sample_rates, worst_samples
from fedleak.results.schema import AttackSummary, ResultRow


def rows(attack: str, leaks: list[float | None], *, victim: int = 1) -> list[ResultRow]:
    return [
        ResultRow(attack=attack, kind="k", victim=victim, round=1, image=i, metrics={"leaked_ssim": leak})
        for i, leak in enumerate(leaks)
    ]


def summary(attack: str, **settings: object) -> AttackSummary:
    return AttackSummary(
        attack=attack, kind="k", is_baseline=False, description="", settings=settings, images=2, metrics={}
    )


def test_the_most_vulnerable_image_by_hand() -> None:
    """Image 0 leaks in 1 of 4 initialisations, image 1 in 3: the batch's rate is 3/4, though all 4 leak something."""
    repeated = [rows("a", [1, 0]), rows("b", [0, 1]), rows("c", [0, 1]), rows("d", [0, 1])]
    assert worst_sample_rates(repeated, "leaked_ssim") == {(1, 1): 0.75}


def test_an_initialisation_that_failed_did_not_leak() -> None:
    assert worst_sample_rates([rows("a", [1]), []], "leaked_ssim") == {(1, 1): 0.5}


def test_updates_are_apart_and_absent_indicators_give_nothing() -> None:
    both = [[*rows("a", [1]), *rows("a", [0], victim=2)], [*rows("b", [1]), *rows("b", [0], victim=2)]]
    assert worst_sample_rates(both, "leaked_ssim") == {(1, 1): 1.0, (2, 1): 0.0}
    assert worst_sample_rates(both, "leaked") == {}
    assert worst_sample_rates([rows("a", [None])], "leaked_ssim") == {}


def test_initialisations_are_entries_that_differ_in_their_id_alone() -> None:
    assert repeats([summary("a", rate=1), summary("b", rate=2), summary("c", rate=1)]) == [("a", "c"), ("b",)]


def test_a_single_initialisation_has_no_rate() -> None:
    summaries = [summary("a", rate=1), summary("b", rate=2), summary("c", rate=1)]
    found = worst_samples(summaries, {"a": rows("a", [1, 0]), "b": rows("b", [1, 1]), "c": rows("c", [0, 0])})
    assert found == {name: {"wsrr_ssim": {(1, 1): 0.5}} for name in ("a", "c")}
