"""The right command is run, or named, for a file, a run's directory or a study's."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedleak.cli.places import what_is
from fedleak.results.schema import load_results
from fedleak.studies.results import load_study_results
from tests.scenarios import command, write_scenario
from tests.studies.builders import write_study

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    from fedleak.pipeline import run

    folder = tmp_path_factory.mktemp("ran")
    run(write_scenario(folder), out=folder / "run")
    return folder / "run"


def test_run_takes_a_study(copied: Path, tmp_path: Path, capsys: Capsys) -> None:
    outcome = command(capsys, "run", write_study(tmp_path), "--out", copied)
    assert outcome.code == 0, outcome.err
    assert "report.html" in outcome.out
    assert len(load_study_results(copied).cells) == 4


def test_study_takes_a_scenario(ran: Path, tmp_path: Path, capsys: Capsys) -> None:
    outcome = command(capsys, "study", write_scenario(tmp_path), "--out", ran, "--serial", "-q")
    assert (outcome.code, outcome.out) == (0, f"{ran / 'report.html'}\n")
    (error,) = command(capsys, "study", write_scenario(tmp_path), "--out", ran, "--jobs", "2").errors
    assert error == "--jobs: got 2; it is a plain scenario, a single run; expected no --jobs"


@pytest.mark.parametrize("name", ["run", "study", "validate"])
def test_the_directory_of_a_run_stands_for_its_scenario(name: str, ran: Path, capsys: Capsys) -> None:
    outcome = command(capsys, name, ran)
    assert outcome.code == 0, outcome.err
    assert name == "validate" or f"report: {ran / 'report.html'}" in outcome.out


@pytest.mark.parametrize("name", ["run", "study", "verify", "validate", "report", "doctor"])
def test_the_directory_of_a_study_stands_for_the_study(name: str, copied: Path, capsys: Capsys) -> None:
    (copied / "report.html").unlink()
    outcome = command(capsys, name, copied)
    assert outcome.code == (1 if name == "verify" else 0), outcome.err  # its claim does not hold
    assert name in ("validate", "doctor") or (copied / "report.html").is_file()


def test_the_cells_of_a_study_are_compared(finished: Path, capsys: Capsys) -> None:
    outcome = command(capsys, "compare", finished)
    assert outcome.code == 0
    cells = command(capsys, "compare", *(finished / "cells").iterdir())
    assert sorted(outcome.out.splitlines()) == sorted(cells.out.splitlines())


@pytest.mark.parametrize("name", ["attack", "labels"])
def test_what_takes_a_run_names_a_cell_of_a_study(name: str, finished: Path, capsys: Capsys) -> None:
    outcome = command(capsys, name, finished)
    assert outcome.code == 2
    assert "it is the directory of a study; its cells are runs, such as " in outcome.errors[0]


def test_a_frontier_needs_a_study(ran: Path, capsys: Capsys) -> None:
    outcome = command(capsys, "frontier", ran)
    assert outcome.code == 2
    assert outcome.errors[0].endswith("'fedleak report' prints it, 'fedleak compare' compares several")


@pytest.mark.parametrize("name", ["report", "compare", "frontier", "attack", "labels"])
@pytest.mark.parametrize(
    ("place", "reason"),
    [("nothing", "there is no such directory"), ("file.yaml", "which 'fedleak "), ("folder", "not the directory of a")],
)
def test_what_is_no_directory_of_fedleak_is_refused(
    name: str, place: str, reason: str, tmp_path: Path, capsys: Capsys
) -> None:
    (tmp_path / "file.yaml").write_text("a: 1")
    (tmp_path / "folder").mkdir()
    outcome = command(capsys, name, tmp_path / place)
    assert outcome.code == 2
    assert reason in outcome.errors[0]


def test_unfinished_work_names_the_command_that_finishes_it(
    ran: Path, copied: Path, tmp_path: Path, capsys: Capsys
) -> None:
    (copied / "study.json").unlink()
    (error,) = command(capsys, "report", copied).errors
    assert error.endswith(f"it is not finished: 'fedleak study {copied}' continues it")
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "scenario.yaml").write_bytes((ran / "scenario.yaml").read_bytes())
    (error,) = command(capsys, "report", begun).errors
    assert error.endswith(f"its attacks are not finished: 'fedleak attack {begun}' runs them")


def test_places_by_their_files(ran: Path, finished: Path, tmp_path: Path) -> None:
    found = {path: what_is(path) for path in (ran, finished, tmp_path, Path(__file__), tmp_path / "x")}
    assert list(found.values()) == ["run", "study", "folder", "file", "nothing"]


def test_quiet_prints_the_path_of_the_result_alone(ran: Path, tmp_path: Path, capsys: Capsys) -> None:
    for name, path in (("run", write_scenario(tmp_path)), ("attack", ran), ("report", ran)):
        out = ["--out", ran] if name == "run" else []
        outcome = command(capsys, name, path, *out, "--quiet")
        assert (outcome.code, outcome.out, outcome.err) == (0, f"{ran / 'report.html'}\n", "")
    outcome = command(capsys, "federate", write_scenario(tmp_path), "--out", tmp_path / "new", "-q")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{tmp_path / 'new' / 'transcript'}\n", "")


def test_a_study_takes_device_seed_and_force(tmp_path: Path, capsys: Capsys) -> None:
    file, out = write_study(tmp_path, matrix={"attacks.lti.hidden": [4]}, claims=[]), tmp_path / "out"
    given = ["study", file, "--out", out, "--serial", "-q"]
    assert command(capsys, *given, "--seed", "7", "--device", "cpu").code == 0
    (cell,) = load_study_results(out).cells
    assert cell.seed == 7
    run = load_results(out / "cells" / cell.key)
    assert (run.scenario["seed"], run.scenario["device"]) == (7, "cpu")
    assert command(capsys, *given, "--seed", "8").code == 0
    assert len(list((out / "cells").iterdir())) == 2
    assert command(capsys, *given, "--seed", "8", "--force").code == 0
    assert len(list((out / "cells").iterdir())) == len(list((out / "federations").iterdir())) == 1
    (error,) = command(capsys, *given, "--device", "gpu").errors
    assert error.startswith("device")


def test_force_keeps_what_is_not_a_study(tmp_path: Path, capsys: Capsys) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    outcome = command(capsys, "study", write_study(tmp_path), "--out", tmp_path, "--force")
    assert outcome.code == 2
    assert (tmp_path / "thesis.tex").is_file()


@pytest.mark.parametrize("name", ["run", "study"])
def test_a_budget_may_have_a_number_for_a_name(name: str, tmp_path: Path, capsys: Capsys) -> None:
    budgets = {1: {"federation.rounds": 1}, 2.5: {"federation.rounds": 1}, "quick": {"federation.rounds": 1}}
    write = write_study if name == "study" else write_scenario
    path = write(tmp_path, budgets=budgets)
    for budget in ("1", "2.5", "quick"):
        assert command(capsys, "validate", path, "--budget", budget).code == 0
    assert command(capsys, "validate", path).code == 0
    (error,) = command(capsys, name, path, "--budget", "quik").errors
    assert error.endswith(
        "did you mean 'quick'? the " + ("study" if name == "study" else "scenario") + "'s budgets: 1, 2.5, quick"
    )


def test_brackets_in_names_are_shown(tmp_path: Path, capsys: Capsys) -> None:
    matrix = {"change": {"[b]x[/b]": {}, "[red]": {"attacks.lti.hidden": 4}}}
    outcome = command(
        capsys, "study", write_study(tmp_path, matrix=matrix, claims=[]), "--out", tmp_path / "o", "--serial"
    )
    assert outcome.code == 0
    assert "[b]x[/b]" in outcome.out
    assert "[red]" in outcome.out
