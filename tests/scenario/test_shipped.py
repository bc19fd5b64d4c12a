"""Every scenario that ships is valid at every budget, says what it is, and is found by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedleak.errors import InputError
from fedleak.scenario.file import load_scenario
from fedleak.scenario.reader import read_yaml
from fedleak.scenario.shipped import find_scenario, shipped_folder, shipped_scenarios
from fedleak.studies.study import is_study, load_study
from tests.scenarios import command, write_scenario

FOLDER = Path(__file__).parents[2] / "scenarios"
FILES = sorted(FOLDER.rglob("*.yaml"))
BUDGETS = [(file, budget) for file in FILES for budget in [None, *read_yaml(file).get("budgets", {})]]


@pytest.mark.parametrize(("file", "budget"), BUDGETS, ids=lambda value: getattr(value, "stem", value))
def test_it_is_valid(file: Path, budget: str | None) -> None:
    loaded = load_study(file, budget=budget) if is_study(read_yaml(file)) else load_scenario(file, budget=budget)
    assert loaded.name == file.stem
    assert loaded.description


def test_the_readme_names_every_scenario() -> None:
    readme = (FOLDER / "README.md").read_text("utf-8")
    assert FILES
    for file in FILES:
        assert f"`{file.relative_to(FOLDER).as_posix()}`" in readme


def test_a_source_tree_ships_its_scenarios() -> None:
    assert shipped_folder() == FOLDER
    assert sorted(shipped_scenarios().values()) == FILES
    assert len(shipped_scenarios()) == len(FILES), "no two have one name"


def test_a_wheel_ships_those_beside_its_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedleak.scenario.shipped.PACKAGE", tmp_path / "fedleak")
    assert shipped_scenarios() == {}
    folder = tmp_path / "fedleak/shipped"
    (folder / "git").mkdir(parents=True)
    (folder / "git/one.yaml").touch()
    assert shipped_scenarios() == {"one": folder / "git/one.yaml"}


def test_a_name_finds_a_scenario_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_scenario(Path("quickstart")) == FOLDER / "quickstart.yaml"
    assert find_scenario(Path("git-t7")) == FOLDER / "git/git-t7.yaml"


def test_a_path_that_exists_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("quickstart").touch()
    assert find_scenario(Path("quickstart")) == Path("quickstart")


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".yaml"])
@pytest.mark.parametrize("verb", ["run", "validate", "doctor", "study"])
def test_a_name_that_no_file_can_have_is_no_traceback(name: str, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = command(capsys, verb, name)
    assert (outcome.code, len(outcome.errors)) == (2, 1)


@pytest.mark.parametrize("path", ["quickstart.yaml", "git/git-t7", "./a/quickstart", "/quickstart"])
def test_what_looks_like_a_path_is_no_name(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_scenario(Path(path)) == Path(path)


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        find_scenario(Path("quikstart"), option="STUDY")
    expected = "STUDY: got 'quikstart'; did you mean 'quickstart'? there is no such file, and no bundled scenario of"
    assert str(caught.value) == f"{expected} that name"


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("run", "SCENARIO"),
        ("federate", "SCENARIO"),
        ("validate", "SCENARIO"),
        ("doctor", "SCENARIO|RUN_DIR"),
        ("study", "STUDY"),
        ("verify", "STUDY"),
    ],
)
def test_every_command_resolves_names(
    name: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    unknown = command(capsys, name, "git-t77")
    assert unknown.code == 2
    assert unknown.errors[0].startswith(f"{option}: got 'git-t77'; did you mean 'git-t7'?")
    known = command(capsys, name, "cifar10_lenet", "--set", "seed=wrong")
    assert "seed" in (known.out + known.err), "the scenario was read"
    assert list(tmp_path.iterdir()) == []


def test_doctor_and_validate_take_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(capsys, "validate", "quickstart").out == "quickstart: valid, 2 cells\n"
    assert command(capsys, "validate", "git-t7", "--budget", "smoke").code == 0
    assert command(capsys, "doctor", "quickstart").code == 0
    assert command(capsys, "validate", write_scenario(tmp_path)).code == 0
