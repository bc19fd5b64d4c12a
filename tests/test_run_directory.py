"""Who may write into a run directory, and what --force removes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from fedleak.errors import InputError
from fedleak.run_directory import RunDirectory, federation_fingerprint, scenario_fingerprint
from tests.scenarios import command, run_federation, scenario, tree, write_scenario

Capsys = pytest.CaptureFixture[str]


def test_a_new_directory_is_free(tmp_path: Path) -> None:
    RunDirectory(tmp_path / "new").check(scenario(), force=False)
    assert not (tmp_path / "new").exists()


def test_the_same_scenario_may_go_on(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    with run.claim(scenario(), force=False):
        pass
    run.check(scenario(description="another text", federation__engine__kind="ray"), force=False)


def test_another_scenario_needs_force(tmp_path: Path) -> None:
    run = run_federation(tmp_path / "run", scenario())
    before = tree(run.root)
    with pytest.raises(InputError, match=r"it holds a run of another scenario; --force replaces it"):
        run.check(scenario(seed=1), force=False)
    assert tree(run.root) == before
    with run.claim(scenario(seed=1), force=True):
        assert run.scenario().seed == 1
    assert set(tree(run.root)) == {".lock", "scenario.yaml"}


def test_force_leaves_other_files_alone(tmp_path: Path) -> None:
    run = run_federation(tmp_path / "run", scenario())
    (run.root / "notes.txt").write_text("mine")
    run.clear()
    assert set(tree(run.root)) == {".lock", "notes.txt"}


@pytest.mark.parametrize("name", ["transcript", "attacks", "truth", "pictures"])
def test_a_folder_that_only_looks_like_ours_is_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "precious").write_text("data")
    with pytest.raises(InputError, match="it holds other files"):
        RunDirectory(tmp_path).check(scenario(), force=False)


def test_what_a_kill_leaves_before_the_scenario_is_written(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".scenario.yaml.123").touch()
    RunDirectory(tmp_path).check(scenario(), force=False)


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(InputError, match="it is a file"):
        RunDirectory(tmp_path / "run").check(scenario(), force=True)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with run.lock(), pytest.raises(InputError, match="another fedleak process is working there"), run.lock():
        pass
    with run.lock():
        pass


def test_a_blocked_read_inside_the_lock_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), RunDirectory(tmp_path).lock():
        raise BlockingIOError


def test_force_with_bad_input_destroys_nothing(tmp_path: Path, capsys: Capsys) -> None:
    run = run_federation(tmp_path / "run", scenario())
    before = tree(run.root)
    path = write_scenario(tmp_path, adversary__public_images=5000)
    outcome = command(capsys, "federate", path, "--out", run.root, "--force")
    assert outcome.code == 2
    assert tree(run.root) == before


def test_force_does_it_again(tmp_path: Path, capsys: Capsys) -> None:
    run = run_federation(tmp_path / "run", scenario())
    before = tree(run.transcript)
    manifest = run.transcript / "manifest.json"
    age = manifest.stat().st_mtime_ns
    path = write_scenario(tmp_path)
    assert command(capsys, "federate", path, "--out", run.root, "--quiet").code == 0
    assert manifest.stat().st_mtime_ns == age, "finished work is reused"
    assert command(capsys, "federate", path, "--out", run.root, "--quiet", "--force").code == 0
    assert manifest.stat().st_mtime_ns > age
    assert tree(run.transcript) == before


def test_fingerprints_follow_what_matters() -> None:
    base = scenario()
    assert federation_fingerprint(scenario(attacks=["lti"], device="cpu")) == federation_fingerprint(base)
    assert scenario_fingerprint(scenario(attacks=["lti"])) != scenario_fingerprint(base)
    other: list[dict[str, Any]] = [{"seed": 1}, {"federation__rounds": 3}, {"model__hidden": [7]}]
    same: list[dict[str, Any]] = [{"federation__engine__kind": "ray"}, {"description": "x"}, {"budgets": {}}]
    assert all(federation_fingerprint(scenario(**change)) != federation_fingerprint(base) for change in other)
    assert all(scenario_fingerprint(scenario(**change)) == scenario_fingerprint(base) for change in same)


def test_kinds_of_metrics_that_are_not_named_leave_no_trace_in_a_fingerprint() -> None:
    """Else every new kind would make finished work look like another scenario's."""
    base = scenario()
    assert base.metrics.model_dump()["iip"] is None
    assert scenario_fingerprint(scenario(metrics__iip=None)) == scenario_fingerprint(base)
    assert scenario_fingerprint(scenario(metrics__iip={})) != scenario_fingerprint(base)
    assert scenario_fingerprint(scenario(metrics={})) != scenario_fingerprint(base)


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a scenario and its federation; not to be changed."""
    folder = tmp_path_factory.mktemp("light")
    changes = {"attacks": [{"kind": "dlg", "iterations": 1}], "adversary": {"level": 1, "public_images": 20}}
    write_scenario(folder, **changes)
    run_federation(folder / "run", scenario(**changes))
    return folder


@pytest.mark.parametrize("target", ["victim", "victim/precious.json", "nowhere"])
@pytest.mark.parametrize(
    "name",
    [
        ".lock",
        "attacks",
        "attacks/dlg",
        "attacks/dlg/part-00000.json",
        "pictures",
        "results.json",
        "report.html",
        "truth/00000",
        "transcript/models",
    ],
)
def test_nothing_is_written_or_deleted_through_a_link(
    light: Path, tmp_path: Path, capsys: Capsys, name: str, target: str
) -> None:
    """A run directory may come from somebody else."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/precious.json").write_text("precious")
    (tmp_path / "victim/part-00000.safetensors").write_text("precious")
    before = tree(tmp_path / "victim")
    root = Path(shutil.copytree(light / "run", tmp_path / "run"))
    link = root / name
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_dir():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path / target)
    for words in (["attack", root], ["run", light / "tiny.yaml", "--out", root, "--force"]):
        outcome = command(capsys, *words, "--quiet")
        assert outcome.code == 2, outcome.err
        assert len(outcome.errors) == 1
    assert "fedleak writes nothing through links: remove it" in outcome.errors[0]
    assert tree(tmp_path / "victim") == before
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["transcript", "truth"])
def test_a_recorded_federation_may_be_shared_by_a_link_but_not_replaced(
    light: Path, tmp_path: Path, capsys: Capsys, name: str
) -> None:
    root = Path(shutil.copytree(light / "run", tmp_path / "run"))
    shutil.move(root / name, tmp_path / "shared")
    (root / name).symlink_to(tmp_path / "shared")
    before = tree(tmp_path / "shared")
    assert command(capsys, "attack", root, "--quiet").code == 0
    outcome = command(capsys, "run", light / "tiny.yaml", "--out", root, "--quiet", "--force")
    assert outcome.code == 2
    assert "fedleak writes nothing through links" in outcome.errors[0]
    assert tree(tmp_path / "shared") == before


def test_the_directory_itself_may_be_a_link(light: Path, tmp_path: Path, capsys: Capsys) -> None:
    shutil.copytree(light / "run", tmp_path / "disk")
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    assert command(capsys, "attack", tmp_path / "run", "--quiet").code == 0
