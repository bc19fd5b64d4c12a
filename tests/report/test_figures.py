from __future__ import annotations

import math
from collections.abc import Callable

from fedleak.report.figures import Figures, Key, draw_figures
from fedleak.report.marks import Mark, assign_marks
from fedleak.results.schema import Interval, Results

Make = Callable[..., Results]


def figures_of(results: Results) -> Figures:
    return draw_figures(results, assign_marks(results.attacks))


def edit_attacks(results: Results, **changes: object) -> Results:
    attacks = tuple(s if s.is_baseline else s.model_copy(update=changes) for s in results.attacks)
    return results.model_copy(update={"attacks": attacks})


def test_everything_that_an_ordinary_run_shows(make_results: Make) -> None:
    figures = figures_of(make_results(rounds=2))
    assert [chart.title for chart in figures.rounds] == ["PSNR", "MSE", "Test accuracy of the model"]
    assert figures.round_keys == (Key("git_coarse", Mark(1)), Key("git_exact", Mark(2)), Key("lti", Mark(3)))
    assert figures.bands
    assert figures.baseline == "nearest public image of the same class"
    assert [(chart.title, chart.note) for chart in figures.learning] == [
        ("git_coarse", ""),
        ("git_exact", "from the cache"),
        ("lti", ""),
    ]
    assert figures.distribution is not None
    assert figures.distribution.label == "MSE of up to 8 single images for each attack and baseline"


def test_bands_go_beyond_six_attacks(make_results: Make) -> None:
    bands = [figures_of(make_results(levels={f"a{i}": 0.01 for i in range(n)}, rounds=1)).bands for n in (6, 7)]
    assert bands == [True, False]


def test_without_rounds_nothing_is_drawn_by_round(make_results: Make) -> None:
    results = edit_attacks(make_results(rounds=1), rounds=()).model_copy(update={"federation": ()})
    figures = figures_of(results)
    assert (figures.rounds, figures.round_keys) == ((), ())


def test_a_metric_that_no_round_has_is_not_drawn(make_results: Make) -> None:
    results = make_results(rounds=1)
    rounds = tuple(r.model_copy(update={"metrics": {"mse": r.metrics["mse"]}}) for r in results.attacks[0].rounds)
    assert [chart.title for chart in figures_of(edit_attacks(results, rounds=rounds)).rounds[:-1]] == ["MSE"]


def test_theorems_are_no_baseline_in_the_charts(make_results: Make) -> None:
    results = make_results(rounds=1)
    changed = tuple(s.model_copy(update={"is_theory": s.is_baseline}) for s in results.attacks)
    assert figures_of(results.model_copy(update={"attacks": changed})).baseline == ""


def test_each_analysis_has_a_chart(make_results: Make) -> None:
    results = make_results(rounds=2)
    federation = tuple(r.model_copy(update={"analyses": {"igsa": Interval(mean=2.0)}}) for r in results.federation)
    chart = figures_of(results.model_copy(update={"federation": federation})).rounds[-1]
    assert (chart.title, chart.label) == ("IGSA, first value = 1", "IGSA of the leaked model by round")


def test_each_quantity_has_charts_and_axes_of_its_own(make_results: Make) -> None:
    results = make_results(levels={"lti": 0.01, "gias": 0.02, "git_exact": 0.03, "own": 0.04}, rounds=1)
    curves: dict[str, dict[str, list[float]]] = {
        "lti": {"train": [0.3, 0.2], "held_out": [0.3, 0.25]},
        "gias": {"evidence_bound": [-100.0, -4000.0]},
        "git_exact": {"train": [0.1, 0.001], "held_out": [0.1, 0.002], "weight_distance": [1.0, 0.0]},
        "own": {"wasserstein_distance": [3.0, 2.0, 1.0]},
    }
    attacks = tuple(s if s.is_baseline else s.model_copy(update={"curves": curves[s.attack]}) for s in results.attacks)
    charts = figures_of(results.model_copy(update={"attacks": attacks})).learning
    assert {chart.label for chart in charts} == {
        "MSE of lti by epoch",
        "MSE of git_exact by epoch",
        "negative evidence bound in nats of gias by epoch",
        "relative distance of weights of git_exact by epoch",
        "wasserstein distance of own by epoch",
    }
    assert len(charts) == 5
    bound = next(chart.svg for chart in charts if "evidence" in chart.label)
    assert "\N{MINUS SIGN}4000" in bound
    assert all("10⁻¹⁰" not in chart.svg for chart in charts)


def test_learning_curves_without_a_finite_value_are_left_out(make_results: Make) -> None:
    results = edit_attacks(make_results(rounds=1), curves={"train": [math.nan]})
    assert figures_of(results).learning == ()


def test_without_scored_images_there_is_no_distribution(make_results: Make) -> None:
    results = make_results(rounds=1)
    assert figures_of(results.model_copy(update={"rows": ()})).distribution is None
    infinite = tuple(row.model_copy(update={"metrics": {"mse": math.inf}}) for row in results.rows)
    assert figures_of(results.model_copy(update={"rows": infinite})).distribution is None
