"""The shipped quickstart at its smallest, from the command to the three lines of its report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fedleak.cli.live import QuietWatcher
from fedleak.results.schema import Interval
from fedleak.scenario.shipped import find_scenario
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.measurements import Gate
from fedleak.studies.report.answer import answers
from fedleak.studies.report.build import REPORT_HTML
from fedleak.studies.results import StudyResults, load_study_results
from fedleak.studies.run import run_study
from fedleak.studies.study import load_study
from fedleak.studies.tradeoff import Leak, Setting


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("quickstart") / "out"
    loaded = load_study(find_scenario(Path("quickstart")), budget="smoke")
    run_study(loaded, StudyDirectory(root), QuietWatcher(), serial=True)
    return root


def lines(root: Path) -> dict[str, str]:
    (answer,) = answers(load_study_results(root), root)
    return dict(answer.lines)


def test_the_first_line_says_what_leaks(quickstart: Path) -> None:
    text = lines(quickstart)["What leaks"]
    assert re.match(r"Without a defense, git rebuilds clients' training images at|Nothing was shown to leak", text)


def test_the_second_line_says_to_whom(quickstart: Path) -> None:
    text = lines(quickstart)["To whom"]
    assert "a passive server that sees single updates (level 3; C (parameter-aware eavesdropper)) by matching" in text
    assert "a server that injects its own images through one client (level 5; D" in text


def test_the_third_line_says_what_the_defense_costs(quickstart: Path) -> None:
    text = lines(quickstart)["What the defense costs"]
    expected = (
        r"noise: accuracy [\d.]+ % instead of [\d.]+ % \(\S+ points\), (the same|[\d.]+ times the) bytes per round\."
    )
    assert re.fullmatch(expected, text)


def test_the_report_opens_with_the_answer(quickstart: Path) -> None:
    page = (quickstart / REPORT_HTML).read_text("utf-8")
    first = page[page.index("<h1>") : page.index('<dl class="tiles">')]
    assert all(title in first for title in ("What leaks", "To whom", "What the defense costs"))


def test_a_study_without_a_defense_has_no_such_answer(finished: Path) -> None:
    assert answers(load_study_results(finished), finished) == ()


def test_a_comparison_of_runs_has_none(quickstart: Path) -> None:
    results: StudyResults = load_study_results(quickstart).model_copy(update={"study": ""})
    assert answers(results, quickstart) == ()


def gate(attack: str, mean: float, *, leaks: bool) -> Gate:
    return Gate(attack=attack, baseline="baseline_mean_image", metric="psnr", mean=mean, guessed=12.0, leaks=leaks)


def setting(name: str, *, leaks: bool, mean: float) -> Setting:
    gates = {"psnr": gate("dlg", mean, leaks=leaks)}
    return Setting(number=1, name=name, seeds=1, accuracy=None, bytes_per_round=None, leaks={}, gates=gates)


def test_what_is_left_behind_a_defense_by_hand() -> None:
    from fedleak.studies.report.answer import _behind

    text = _behind(
        [setting("defense=noise", leaks=False, mean=11.5), setting("top-10%", leaks=True, mean=15.0)], "psnr"
    )
    assert text == (
        "Behind noise no attack beats that guess (the closest has PSNR 11.50 dB). "
        "Behind top-10% dlg still reaches PSNR 15.00 dB."
    )
    many = [setting(str(i), leaks=i < 3, mean=13.0) for i in range(5)]
    assert _behind(many, "psnr") == "Behind 3 of 5 defenses an attack still beats that guess."


def test_single_images_that_leak_are_no_absence_of_leakage() -> None:
    """Most rounds of a run may hide nothing, and their mean still be worse than a guess."""
    from fedleak.studies.report.answer import _to_whom, _what_leaks

    closest = gate("matching", 11.0, leaks=False)
    leak = Leak(attack="matching", interval=Interval(mean=closest.mean))
    plain = setting("defense=none", leaks=False, mean=11.0)
    plain = plain.model_copy(update={"gates": {"psnr": closest}, "leaks": {"psnr": leak}})
    singly = {"matching": "matching rebuilds 22 of 36 images"}
    assert _what_leaks(plain, [], "psnr", singly) == (
        "Single images leak without a defense: matching rebuilds 22 of 36 images. The mean over all images is no "
        "better than mean public image, PSNR 12.00 dB."
    )
    assert _what_leaks(plain, [], "psnr", {}).startswith("Nothing was shown to leak")
    others = [closest, gate("git", 10.0, leaks=False)]
    assert _to_whom(others, {}, singly) == "Single images to an unknown adversary by matching."
