from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedleak.cli.live import QuietWatcher
from fedleak.errors import InputError
from fedleak.results.judgement import Shortcoming
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.frontier import _judge, find_frontier
from fedleak.studies.matrix import Point
from fedleak.studies.records import load_cell, save_cell
from fedleak.studies.report.frontier import make_page, missing_lines, recommendation
from fedleak.studies.results import CellLine, StudyResults, load_study_results
from fedleak.studies.run import run_study
from fedleak.studies.study import load_study
from fedleak.studies.tradeoff import Case, Frontier, Setting
from tests.scenarios import command
from tests.studies.builders import record, study

Cells = list[tuple[Point, int, float | None, float | None, Mapping[str, Mapping[str, list[float]]]]]


def made(root: Path, cells: Cells, *, study_text: str = "") -> tuple[StudyResults, StudyDirectory]:
    """A study directory of cells (point, seed, accuracy, bytes per round, attack -> metric -> values)."""
    directory, lines = StudyDirectory(root), []
    for i, (point, seed, accuracy, size, values) in enumerate(cells):
        folder = directory.cell(f"c{i}").root
        folder.mkdir(parents=True)
        found = {"accuracy": accuracy, "bytes_per_round": size, "chance": 0.1, "defenses": _defenses(point)}
        save_cell(folder, record(values, test_images=400, higher_is_better=("ssim",)).model_copy(update=found))
        lines.append(CellLine(key=f"c{i}", point=point, seed=seed, status="ok"))
    nothing: dict[str, Any] = dict.fromkeys(("published", "verdicts", "lines", "notes"), ())
    results = StudyResults(
        name="made", description="", budget=None, axes=tuple(cells[0][0]), seeds=(0,), federations=1,
        higher_is_better=("psnr", "ssim"), metrics=("mse",), figure=None, source="", setting="",
        cells=tuple(lines), study=study_text, **nothing,
    )  # fmt: skip
    return results, directory


def _defenses(point: Point) -> tuple[str, ...]:
    return () if point.get("defense", "none") == "none" else (str(point["defense"]),)


def one(defense: str, accuracy: float | None, size: float | None, ssim: list[float], seed: int = 0) -> Any:
    """A cell of one attack."""
    return {"defense": defense}, seed, accuracy, size, {"ig": {"ssim": ssim}}


def around(mean: float, count: int = 16) -> list[float]:
    """As many values with this mean, 0.05 on either side."""
    return [mean + (0.05 if i % 2 else -0.05) for i in range(count)]


def full(defense: str, accuracy: float, size: float, ssim: float, *, guess: float = 0.3, count: int = 16) -> Any:
    """A cell of an attack on enough images, and of a baseline."""
    values = {"ig": {"ssim": around(ssim, count)}, "baseline_mean_image": {"ssim": around(guess, count)}}
    return {"defense": defense}, 0, accuracy, size, values


CELLS: Cells = [
    full("none", 0.90, 4000, 0.85),
    full("good", 0.88, 1000, 0.15),
    full("worse", 0.87, 2000, 0.35),
    full("useless", 0.40, 500, 0.05),
    full("same", 0.88, 1000, 0.15),
]


def changed(directory: StudyDirectory, key: str, **changes: Any) -> None:
    """Change the record of a cell."""
    folder = directory.cell(key).root
    found = load_cell(folder)
    assert found is not None
    save_cell(folder, found.model_copy(update=changes))


def adaptive(root: Path, cells: Cells) -> tuple[StudyResults, StudyDirectory]:
    """The same study, with an attack that adapts."""
    results, directory = made(root, cells)
    for line in results.cells:
        folder = directory.cell(line.key).root
        found = load_cell(folder)
        assert found is not None
        save_cell(folder, adapting(found, {"ig"}))
    return results, directory


def kinds_lacking(case: Case) -> list[str]:
    """Kinds of what a recommendation lacks."""
    return [each.kind for each in case.lacking]


def test_dominated_settings_and_the_recommendation(tmp_path: Path) -> None:
    frontier = find_frontier(*adaptive(tmp_path, CELLS))
    (case,) = frontier.cases
    assert frontier.metric == "ssim"
    assert [(s.name, s.dominated_by) for s in case.settings] == [
        ("defense=none", None), ("defense=good", None), ("defense=worse", 2), ("defense=useless", None),
        ("defense=same", None),
    ]  # fmt: skip
    assert (case.most_accurate, case.candidate, case.recommended, case.lacking) == (1, 2, 2, ())
    sentence = recommendation(case, frontier)
    assert sentence == (
        "Use defense=good (88.0 % [84.8 %, 91.2 %] accurate, SSIM 0.150 [0.122, 0.178] by ig, which adapts, on "
        "16 images and 1 seed, 1,000 bytes a round): of 5 settings it leaks least within 5.0 points of the most "
        "accurate, defense=none (90.0 % [87.0 %, 93.0 %] accurate, SSIM 0.850 [0.822, 0.878] by ig, which adapts, on "
        "16 images and 1 seed, 4,000 bytes a round). Without a defense ig beats the best guess without updates (SSIM "
        "0.850, baseline_mean_image 0.300). What would change it: an attack that rebuilds more of defense=good than "
        "these did, an accuracy below 85.0 % there, or other images, rounds or models."
    )
    (page,) = make_page(frontier).cases
    assert (page.tone, page.lacking) == ("holds", ())
    assert [row.state for row in page.rows][:2] == ["on the frontier", "recommended"]


def test_without_an_adaptive_attacker_for_each_defense_nothing_is_recommended(tmp_path: Path) -> None:
    results, directory = adaptive(tmp_path, CELLS)
    unaware = record({"ig": {"ssim": around(0.35)}}, higher_is_better=("ssim",))
    changed(directory, "c2", attacks=unaware.attacks)
    frontier = find_frontier(results, directory)
    (case,) = frontier.cases
    assert (case.candidate, case.recommended, kinds_lacking(case)) == (2, None, ["no_adaptive_attacker"])
    assert case.lacking[0].what == "defense=worse: no attack adapts to worse"
    assert recommendation(case, frontier) == "No recommendation. Missing: no adaptive attacker."
    (page,) = make_page(frontier).cases
    assert page.tone == "unclear"
    assert page.lacking == missing_lines(case)
    assert page.lacking[0].startswith("no adaptive attacker: defense=worse: no attack adapts to worse; to do: add")
    assert "recommended" not in {row.state for row in page.rows}


def test_a_model_at_chance_is_not_recommended(tmp_path: Path) -> None:
    cells = [full("none", 0.11, 4000, 0.85), full("good", 0.12, 1000, 0.15)]
    (case,) = find_frontier(*adaptive(tmp_path, cells)).cases
    assert (case.recommended, kinds_lacking(case)) == (None, ["not_learned"])
    assert "defense=good: the model has an accuracy of 12.0 % [8.8 %, 15.2 %] on 400 test" in case.lacking[0].what


def test_a_model_that_only_a_defense_keeps_from_learning_does_not_matter_elsewhere(tmp_path: Path) -> None:
    cells = [full("none", 0.9, 4000, 0.85), full("good", 0.88, 1000, 0.15), full("noise", 0.1, 1000, 0.1)]
    assert find_frontier(*adaptive(tmp_path, cells)).cases[0].recommended == 2


@pytest.mark.parametrize("ssim", [0.2, 0.3, 0.31])
def test_where_nothing_leaks_without_a_defense_none_is_recommended(tmp_path: Path, ssim: float) -> None:
    cells = [full("none", 0.9, 4000, ssim), full("good", 0.88, 1000, 0.1)]
    spread = [0.2, 0.2, -0.2, -0.2] * 4  # the difference varies from image to image
    cells[0][4]["ig"]["ssim"] = [ssim + step for step in spread]
    (case,) = find_frontier(*adaptive(tmp_path, cells)).cases
    assert (case.recommended, kinds_lacking(case)) == (None, ["nothing_leaks"])
    assert "is not clearly better than the 0.300 of baseline_mean_image" in case.lacking[0].what


def test_the_undefended_setting_and_its_baseline_must_be_there(tmp_path: Path) -> None:
    (case,) = find_frontier(*adaptive(tmp_path / "a", CELLS[1:])).cases
    assert "no finished setting without a defense" in case.lacking[0].what
    bare = [one("none", 0.9, 4000, around(0.8)), one("good", 0.9, 1000, around(0.1))]
    (case,) = find_frontier(*adaptive(tmp_path / "b", bare)).cases
    assert [each.what for each in case.lacking] == ["no baseline was measured under the undefended setting"]


def test_too_few_images_are_named_by_setting(tmp_path: Path) -> None:
    cells = [full("none", 0.9, 4000, 0.85, count=15), full("good", 0.88, 1000, 0.15)]
    (case,) = find_frontier(*adaptive(tmp_path, cells)).cases
    assert kinds_lacking(case) == ["few_images"]
    assert case.lacking[0].what == "defense=none: 15 scored images, fewer than 16"


def test_images_that_seeds_share_count_once(tmp_path: Path) -> None:
    point, _, *rest = full("none", 0.9, 9, 0.85, count=8)
    (case,) = find_frontier(*adaptive(tmp_path, [(point, seed, *rest) for seed in (0, 1)])).cases
    assert (case.settings[0].images, case.settings[0].leaks["ssim"].images) == (8, 16)
    assert kinds_lacking(case) == ["few_images"]


def test_doubts_of_the_recommended_setting_prevent_or_qualify_it(tmp_path: Path) -> None:
    results, directory = adaptive(tmp_path, CELLS)
    changed(directory, "c1", doubts=(Shortcoming(kind="reduced_budget", what="ig has iterations 20"),))
    frontier = find_frontier(results, directory)
    assert frontier.cases[0].recommended == 2
    said = recommendation(frontier.cases[0], frontier)
    assert said.endswith("Note: weaker than the attack's default budget: ig has iterations 20.")
    changed(directory, "c1", doubts=(Shortcoming(kind="not_converged", what="still falling"),))
    (case,) = find_frontier(results, directory).cases
    assert (case.recommended, kinds_lacking(case)) == (None, ["not_converged"])


def test_cells_of_an_earlier_version_are_no_evidence(tmp_path: Path) -> None:
    results, directory = adaptive(tmp_path, CELLS)
    for line in results.cells:
        changed(directory, line.key, chance=None, defenses=None)
    (case,) = find_frontier(results, directory).cases
    assert case.recommended is None
    assert kinds_lacking(case) == ["not_learned", "nothing_leaks", "no_adaptive_attacker"]


def test_what_may_be_lost_decides(tmp_path: Path) -> None:
    results, directory = adaptive(tmp_path, CELLS)
    assert find_frontier(results, directory, accuracy_loss=0.6).cases[0].recommended == 4
    strict = find_frontier(results, directory, accuracy_loss=0.01)
    assert strict.cases[0].recommended == 1
    assert recommendation(strict.cases[0], strict).startswith(
        "No setting within 1.0 points of accuracy leaks less than"
    )


def test_overlapping_intervals_are_said_to_overlap(tmp_path: Path) -> None:
    cells = [full("none", 0.9, 40, 0.85), full("noise", 0.88, 40, 0.84)]
    frontier = find_frontier(*adaptive(tmp_path, cells))
    assert frontier.cases[0].recommended == 2
    assert "intervals of leakage overlap" in recommendation(frontier.cases[0], frontier)


def test_the_strongest_attack_counts_and_baselines_do_not(tmp_path: Path) -> None:
    values = {
        "weak": {"ssim": [0.1, 0.1], "mse": [0.5, 0.5]},
        "strong": {"ssim": [0.6, 0.8], "mse": [0.7, 0.7]},
        "baseline_mean_image": {"ssim": [1.0, 1.0], "mse": [0.0, 0.0]},
    }
    (case,) = find_frontier(*made(tmp_path, [({"defense": "none"}, 0, 0.5, 10.0, values)])).cases
    assert {name: leak.attack for name, leak in case.settings[0].leaks.items()} == {"ssim": "strong", "mse": "weak"}
    assert case.settings[0].leaks["ssim"].interval.mean == pytest.approx(0.7)


def adapting(cell: Any, names: set[str]) -> Any:
    """The same cell, with attacks that adapt."""
    return cell.model_copy(
        update={"attacks": tuple(a.model_copy(update={"adaptive": a.attack in names}) for a in cell.attacks)}
    )


def test_the_headline_is_the_strongest_of_adaptive_and_other_attacks_of_all_adversaries(tmp_path: Path) -> None:
    """An axis that changes the adversary alone makes no cases."""
    values: list[Mapping[str, Mapping[str, list[float]]]] = [
        {"ig": {"ssim": [0.3, 0.3]}, "ig_adaptive": {"ssim": [0.5, 0.5]}, "git": {"ssim": [0.7, 0.9]}},
        {"ig": {"ssim": [0.3, 0.3]}, "ig_adaptive": {"ssim": [0.5, 0.5]}, "git": {"ssim": [0.4, 0.4]}},
    ]
    text = json.dumps({"matrix": {
        "defense": {"sign": {"federation.client.postprocess": ["sign_sgd"]}},
        "pairs": {"own": {}, "clean": {"adversary.injection.postprocessed": False}},
    }})  # fmt: skip
    points: list[Point] = [{"defense": "sign", "pairs": "own"}, {"defense": "sign", "pairs": "clean"}]
    cells: Cells = [(point, 0, 0.5, 10.0, own) for point, own in zip(points, values, strict=True)]
    results, directory = made(tmp_path, cells, study_text=text)
    for key, names in (("c0", {"git", "ig_adaptive"}), ("c1", {"ig_adaptive"})):
        folder = directory.cell(key).root
        found = load_cell(folder)
        assert found is not None
        save_cell(folder, adapting(found, names))
    frontier = find_frontier(results, directory)
    (case,) = frontier.cases
    (setting,) = case.settings
    strongest, unaware = setting.leaks["ssim"], setting.unaware["ssim"]
    assert (strongest.attack, strongest.adaptive, strongest.interval.mean) == ("git", True, pytest.approx(0.8))
    assert (unaware.attack, unaware.adaptive, unaware.interval.mean) == ("git", False, pytest.approx(0.4))
    assert setting.aware["ssim"].attack == "git"
    (page,) = make_page(frontier).cases
    assert make_page(frontier).compares_unaware
    assert page.rows[0].unaware.by == "git"
    assert page.rows[0].leaks[0].by == "git, adaptive"


def test_more_of_the_worst_sample_rate_is_more_leakage(tmp_path: Path) -> None:
    values = {"one": {"wsrr_ssim": [0.2, 0.2]}, "two": {"wsrr_ssim": [1.0, 1.0]}}
    (case,) = find_frontier(*made(tmp_path, [({"defense": "none"}, 0, 0.5, 10.0, values)]), metric="wsrr_ssim").cases
    assert case.settings[0].leaks["wsrr_ssim"].attack == "two"


def test_seeds_are_averaged_and_their_range_kept(tmp_path: Path) -> None:
    cells = [one("none", 0.8, 10, [0.5, 0.5]), one("none", 0.9, 30, [0.7, 0.7], seed=1)]
    (setting,) = find_frontier(*made(tmp_path, cells)).cases[0].settings
    assert setting.seeds == 2
    assert setting.accuracy is not None
    assert (setting.accuracy.mean, setting.accuracy.low, setting.accuracy.high) == pytest.approx((0.85, 0.8, 0.9))
    assert setting.bytes_per_round == 20
    assert setting.leaks["ssim"].interval.mean == pytest.approx(0.6)


def test_each_model_has_a_frontier_of_its_own(tmp_path: Path) -> None:
    cells: Cells = [
        ({"model": model, "defense": defense}, 0, accuracy, 10.0, {"ig": {"ssim": [leak, leak]}})
        for model, accuracy, shift in (("small", 0.5, 0.0), ("large", 0.9, 0.1))
        for defense, leak in (("none", 0.8 + shift), ("some", 0.2 + shift))
    ]
    text = json.dumps({"matrix": {
        "model": ["small", "large"],
        "defense": {"none": {}, "some": {"federation.client.postprocess": ["sign_sgd"]}},
    }})  # fmt: skip
    frontier = find_frontier(*made(tmp_path, cells, study_text=text))
    assert [(case.name, [s.name for s in case.settings]) for case in frontier.cases] == [
        ("model=small", ["defense=none", "defense=some"]), ("model=large", ["defense=none", "defense=some"]),
    ]  # fmt: skip
    assert [case.candidate for case in frontier.cases] == [2, 2]


def test_lpips_comes_first_and_the_choice_is_checked(tmp_path: Path) -> None:
    values = {"ig": {"ssim": [0.5, 0.6], "lpips": [0.2, 0.3], "mse": [0.1, 0.1]}}
    results, directory = made(tmp_path, [({"defense": "none"}, 0, 0.5, 10.0, values)])
    assert find_frontier(results, directory).metric == "lpips"
    assert find_frontier(results, directory, metric="mse").metric == "mse"
    with pytest.raises(InputError, match="--metric: got 'brr'; measured in every setting: lpips, mse, ssim"):
        find_frontier(results, directory, metric="brr")


def test_what_was_not_measured_is_neither_on_the_frontier_nor_recommended(tmp_path: Path) -> None:
    cells = [one("none", 0.9, 10, [0.5, 0.6]), one("old", 0.9, None, [0.0, 0.0])]
    (case,) = find_frontier(*made(tmp_path, cells)).cases
    assert (case.candidate, case.missing) == (1, 1)
    with pytest.raises(InputError, match="no finished cell holds accuracy and bytes"):
        find_frontier(*made(tmp_path / "other", cells[1:]))


@given(
    costs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=8),
    higher=st.booleans(),
)
def test_dominance_against_the_definition(costs: list[tuple[int, int, int]], higher: bool) -> None:
    settings = [_setting(i, *cost) for i, cost in enumerate(costs, start=1)]
    case = _judge("", settings, "m", ("m",) if higher else (), 0.05)
    sign = 1 if higher else -1
    for i, (accuracy, leak, size) in enumerate(costs):
        beaten = any(
            a >= accuracy and sign * x <= sign * leak and b <= size and (a, x, b) != (accuracy, leak, size)
            for a, x, b in costs
        )
        assert (case.settings[i].dominated_by is not None) == beaten


def _setting(number: int, accuracy: int, leak: int, size: int) -> Setting:
    value = {"mean": accuracy / 3, "low": accuracy / 3, "high": accuracy / 3}
    leaks = {"m": {"attack": "ig", "interval": {"mean": leak}}}
    return Setting.model_validate(
        {"number": number, "name": str(number), "seeds": 1, "accuracy": value, "bytes_per_round": size, "leaks": leaks}
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real study of two settings."""
    root = tmp_path_factory.mktemp("frontier") / "out"
    chains: dict[str, Any] = {
        "none": {},
        "<b>top</b>": {"federation.client.postprocess": [{"kind": "top_k", "share": 0.01}]},
    }
    loaded = load_study(study(matrix={"defense": chains}, claims=[]))
    run_study(loaded, StudyDirectory(root), QuietWatcher(), serial=True)
    return root


def test_the_command_compares_what_was_run(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = command(capsys, "frontier", finished, "--accuracy-loss", "1.0")
    assert outcome.code == 0
    assert "No recommendation. Missing:" in outcome.out
    frontier = Frontier.model_validate_json((finished / "frontier.json").read_bytes())
    case: Case = frontier.cases[0]
    cells = [load_cell(finished / "cells" / cell.key) for cell in load_study_results(finished).cells]
    assert [s.accuracy.mean for s in case.settings if s.accuracy] == [cell.accuracy for cell in cells if cell]
    assert [s.bytes_per_round for s in case.settings] == [cell.bytes_per_round for cell in cells if cell]
    dense, sparse = (setting.bytes_per_round or 0.0 for setting in case.settings)
    assert sparse < 0.1 * dense


def test_the_report_is_one_escaped_file_that_loads_nothing(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(capsys, "frontier", finished, "--metric", "mse").code == 0
    html = (finished / "frontier.html").read_text(encoding="utf-8")
    assert "defense=&lt;b&gt;top&lt;/b&gt;" in html
    assert "<b>top" not in html
    assert "default-src 'none'" in html
    assert "http:" not in html
    assert "https:" not in html
    assert html.count("<svg") == 1
    again = html
    assert command(capsys, "frontier", finished, "--metric", "mse").code == 0
    assert (finished / "frontier.html").read_text(encoding="utf-8") == again


def test_a_folder_without_a_study_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(capsys, "frontier", tmp_path).code == 2


def test_more_right_labels_are_more_leakage(finished: Path) -> None:
    results = load_study_results(finished)
    assert {"label_accuracy", "label_accuracy_class"} <= set(results.higher_is_better)


def test_indicators_come_before_further_metrics(tmp_path: Path) -> None:
    values = {"ig": {name: [0.5, 0.5] for name in ("fft_2d", "wsrr_ssim", "leaked_ssim", "ssim", "mse")}}
    frontier = find_frontier(*made(tmp_path, [({"defense": "none"}, 0, 0.5, 10.0, values)]))
    assert frontier.metrics == ("ssim", "mse", "leaked_ssim", "wsrr_ssim", "fft_2d")
