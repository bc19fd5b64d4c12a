"""What the report says: verdict, table, failures, numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedleak.report.adversary import describe_adversary
from fedleak.report.failures import failed_attacks, failed_clients, rounds_in_words
from fedleak.report.marks import assign_marks
from fedleak.report.page import flatten
from fedleak.report.svg import log_ticks, tick_label
from fedleak.report.table import Table, results_table
from fedleak.report.verdict import decide
from fedleak.results import format as fmt
from fedleak.results.schema import AttackSummary, FederationRound, Interval, ResultRow, Results

Make = Callable[..., Results]


def summary(name: str, mse: Interval | None, *, psnr: float | None = None, failures: int = 0) -> AttackSummary:
    metrics = {"mse": mse} if mse else {}
    metrics |= {"psnr": Interval(mean=psnr)} if psnr else {}
    return AttackSummary(
        attack=name,
        kind=name,
        is_baseline=name.startswith("baseline"),
        description="",
        images=40 if mse else 0,
        failures=failures,
        metrics=metrics,
    )


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


def table_of(results: Results) -> Table:
    return results_table(results, assign_marks(results.attacks))


def test_best_attack_of_each_metric_is_marked_by_its_direction(make_results: Make) -> None:
    results = make_results(rounds=4)
    table = table_of(results)
    assert [column.title for column in table.columns[:4]] == ["Images", "MSE ↓", "PSNR ↑", "SSIM ↑"]
    attacks = [s for s in results.attacks if not s.is_baseline]
    for place, name, choose in ((1, "mse", min), (2, "psnr", max), (3, "ssim", max)):
        best = choose(s.metrics[name].mean for s in attacks)
        marked = [
            s.metrics[name].mean for s, line in zip(attacks, table.attacks, strict=True) if line.cells[place].best
        ]
        assert marked == [best]
    assert not any(cell.best for line in table.baselines for cell in line.cells)


def test_an_absent_metric_has_no_column_but_the_run_s_own_reason(make_results: Make) -> None:
    table = table_of(make_results(rounds=2))
    assert not any(column.title.startswith("LPIPS") for column in table.columns)
    assert table.footnotes == (
        "— LPIPS: AlexNet's weights could not be fetched; name a local file in metrics.lpips.backbone",
    )


def test_a_metric_that_one_attack_lacks_is_explained_by_name(make_results: Make) -> None:
    results = make_results(rounds=2)
    without = results.attacks[0].model_copy(update={"metrics": {"mse": results.attacks[0].metrics["mse"]}})
    table = table_of(results.model_copy(update={"attacks": (without, *results.attacks[1:])}))
    assert "— PSNR of git_coarse: not measured in this run" in table.footnotes


def test_a_further_metric_gets_its_column(make_results: Make) -> None:
    results = make_results(rounds=2)
    extended = results.attacks[0].model_copy(update={"metrics": {"feature_distance": Interval(mean=2.5)}})
    table = table_of(results.model_copy(update={"attacks": (extended, *results.attacks[1:])}))
    assert table.columns[4].title == "feature distance ↓"
    assert table.attacks[0].cells[4].text == "2.50"
    assert table.attacks[0].cells[4].best


def test_costs_that_nobody_has_take_no_room(make_results: Make) -> None:
    results = make_results(rounds=2)
    baselines = tuple(s for s in results.attacks if s.is_baseline)
    assert len(table_of(results).columns) == 9
    assert len(table_of(results.model_copy(update={"attacks": baselines})).columns) == 4


def test_training_from_the_cache_and_label_source_are_marked(make_results: Make) -> None:
    lines = table_of(make_results(rounds=2)).attacks
    assert [line.cells[5].small for line in lines] == ["", "cached", ""]
    assert {line.cells[4].small for line in lines} == {"inferred"}


@pytest.mark.parametrize(("by_class", "shown"), [(0.5, "50.0 %"), (0.75, "50.0 %, 75.0 %"), (None, "50.0 %, —")])
def test_label_accuracy_by_class_stands_beside_that_by_image_where_they_differ(
    make_results: Make, by_class: float | None, shown: str
) -> None:
    results = make_results(rounds=2)
    first = results.attacks[0].model_copy(update={"label_accuracy": 0.5, "label_accuracy_class": by_class})
    table = table_of(results.model_copy(update={"attacks": (first, *results.attacks[1:])}))
    assert table.attacks[0].cells[4].text == shown


def test_marks_stay_distinct_beyond_eight_attacks() -> None:
    marks = assign_marks(summary(f"a{i}", None) for i in range(24))
    assert len(set(marks.values())) == 24


def test_the_adversary_is_described_honestly(make_results: Make) -> None:
    results = make_results(rounds=1)
    adversary = describe_adversary(results)
    assert "client 0 and fed it public images: 8,000 input-update pairs" in adversary.channel
    assert "victims' images or their true labels" in adversary.lacked
    assert adversary.lacked.endswith("Not granted: pixel prior.")
    assert [c.level for c in adversary.capabilities] == ["0", "0", "2", "5", "derived"]
    assert {c.users for c in adversary.capabilities} == {"all attacks"}
    passive = results.model_copy(update={"compromised": None, "pairs": None})
    assert describe_adversary(passive).channel == "It controlled no client and only listened."


def test_equal_failures_are_one_line() -> None:
    def failure(victim: int, number: int, reason: str) -> ResultRow:
        return ResultRow(attack="ig", kind="ig", victim=victim, round=number, status="failed", reason=reason)

    rows = [failure(1, n, "diverged") for n in (1, 2, 3, 7)] + [failure(2, 4, "diverged"), failure(1, 5, "")]
    first, second = failed_attacks((*rows, ResultRow(attack="ig", kind="ig", victim=1, round=9, image=0)))
    assert (first.times, first.places) == (5, "client 1 in rounds 1-3, 7; client 2 in round 4")
    assert (second.reason, second.times) == ("no reason given", 1)


def test_failures_of_the_federation_are_grouped_over_rounds() -> None:
    rounds = tuple(FederationRound(round=n, accuracy=0.5, loss=1.0, failures=("late",)) for n in (2, 3, 9))
    (failure,) = failed_clients(rounds)
    assert (failure.reason, failure.times, failure.places) == ("late", 3, "rounds 2-3, 9")


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12))
def test_rounds_in_words_names_every_round(numbers: list[int]) -> None:
    text = rounds_in_words(numbers).split(" ", 1)[1]
    if text.endswith("..."):
        return
    named: set[int] = set()
    for run in text.split(", "):
        first, _, last = run.partition("-")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == set(numbers)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (fmt.metric_value("mse", 0.012345), "0.0123"),
        (fmt.metric_value("psnr", 19.256), "19.26"),
        (fmt.metric_value("ssim", -0.02), "\N{MINUS SIGN}0.020"),
        (fmt.metric_value("lpips", None), "—"),
        (fmt.metric_value("mse", math.nan), "not finite"),
        (fmt.significant(0.0000123), "1.2 \N{MULTIPLICATION SIGN} 10⁻⁵"),
        (fmt.interval_range("mse", Interval(mean=0.0123, low=0.0111, high=0.0134)), "[0.0111, 0.0134]"),
        (fmt.interval_range("mse", Interval(mean=0.0123)), ""),
        (fmt.duration(0.0042), "4.2 ms"),
        (fmt.duration(41.7), "41.7 s"),
        (fmt.duration(754), "12 min 34 s"),
        (fmt.duration(11_520), "3 h 12 min"),
        (fmt.memory(310 << 20), "310 MiB"),
        (fmt.magnitude(1_230_000), "1.23 M"),
        (fmt.percent(0.975), "97.5 %"),
        (fmt.shorten_name("abcdefghij", 5), "ab…ij"),
    ],
)
def test_numbers_read_well(text: str, expected: str) -> None:
    assert text == expected


@given(st.floats(-10, 3), st.floats(0.13, 12))
def test_a_log_axis_always_has_ticks(exponent: float, decades: float) -> None:
    low, high = 10**exponent, 10 ** (exponent + decades)
    ticks = log_ticks(low, high)
    assert 1 <= len(ticks) <= 12
    assert all(low <= tick <= high for tick in ticks)
    assert len({tick_label(tick) for tick in ticks}) == len(ticks)


def test_nested_environment_is_flattened() -> None:
    lines = flatten({"python": "3.11", "packages": {"torch": "2.11"}, "gpus": ["a", "b"], "cuda": None})
    assert lines == [("python", "3.11"), ("packages.torch", "2.11"), ("gpus", "a, b"), ("cuda", "—")]
