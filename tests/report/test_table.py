"""The results table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fedleak.report.marks import BASELINE, Mark, assign_marks
from fedleak.report.table import ResultsTable, results_table, shown_metrics
from fedleak.results.schema import AttackSummary, Interval, MatchingLoss, Results
from tests.report.summaries import summary

Make = Callable[..., Results]


def table_of(results: Results) -> ResultsTable:
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


def with_first(results: Results, **changes: object) -> Results:
    """The first attack changed, and the others as they are."""
    return results.model_copy(update={"attacks": (results.attacks[0].model_copy(update=changes), *results.attacks[1:])})


def test_metrics_are_the_core_ones_then_others_as_they_come() -> None:
    first: AttackSummary = summary("a", None).model_copy(update={"metrics": {"iip": Interval(mean=1)}})
    second = summary("b", None).model_copy(update={"metrics": {"fft_2d": Interval(mean=1), "mse": Interval(mean=1)}})
    assert shown_metrics((first, second)) == ["mse", "psnr", "ssim", "lpips", "iip", "fft_2d"]


def test_baselines_are_grey_and_called_by_their_words(make_results: Make) -> None:
    table = table_of(make_results(rounds=1))
    assert {line.mark for line in table.baselines} == {BASELINE}
    assert [line.mark for line in table.attacks] == [Mark(1), Mark(2), Mark(3)]
    assert table.baselines[0].name == "nearest public image of the same class"


def test_failures_stand_below_the_number_of_images(make_results: Make) -> None:
    table = table_of(with_first(make_results(rounds=2), failures=1200, images=8))
    assert (table.attacks[0].cells[0].text, table.attacks[0].cells[0].small) == ("8", "1,200 failed")
    assert table.attacks[1].cells[0].small == ""


@pytest.mark.parametrize(("postprocess", "kind"), [([{"kind": "top_k"}], "dlg, not adaptive"), ([], "dlg")])
def test_adaptivity_is_told_where_clients_change_their_updates(
    make_results: Make, postprocess: list[object], kind: str
) -> None:
    results = with_first(make_results(rounds=1), kind="dlg", adaptive=False)
    scenario = {"federation": {"client": {"postprocess": postprocess}}}
    table = table_of(results.model_copy(update={"scenario": scenario}))
    assert [line.kind for line in table.attacks] == [kind, "", ""]


def test_the_worst_sample_rate_has_a_column_where_it_is_known(make_results: Make) -> None:
    table = table_of(with_first(make_results(rounds=1), worst_sample={"wsrr_ssim": 0.75}))
    place = [column.title for column in table.columns].index("WSRR")
    assert [(line.cells[place].text, line.cells[place].small) for line in table.attacks] == [
        ("75.0 %", "wsrr_ssim"),
        ("—", ""),
        ("—", ""),
    ]


@pytest.mark.parametrize(("unfinished", "small"), [(0, "from 1.50"), (3, "from 1.50, 3 of 8 not converged")])
def test_the_matching_loss_has_a_column_where_it_is_known(make_results: Make, unfinished: int, small: str) -> None:
    losses = {"start": 1.5, "final": 0.25, "iterations": 20, "late_fall": 0.0, "updates": 8}
    matching = MatchingLoss.model_validate(losses | {"unfinished": unfinished})
    table = table_of(with_first(make_results(rounds=1), matching=matching))
    place = [column.title for column in table.columns].index("Matching loss")
    assert [(line.cells[place].text, line.cells[place].small) for line in table.attacks] == [
        ("0.250", small),
        ("—", ""),
        ("—", ""),
    ]
    assert table.has_matching
    assert not table_of(make_results(rounds=1)).has_matching
