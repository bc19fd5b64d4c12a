"""The stages in order: what each leaves, what is reused, what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

import fedleak
from fedleak.errors import FedleakError, InputError
from fedleak.pipeline import attack_run, federate_scenario, open_run, run_scenario, write_report
from fedleak.progress import QuietProgress
from fedleak.results.schema import load_results
from fedleak.run_directory import RunDirectory, scenario_fingerprint
from fedleak.stages.attack import session
from tests.scenarios import run_federation, scenario, tiny, tree, write_scenario

QUIET = QuietProgress()
ONE_ATTACK = {"attacks": [{"kind": "lti", "hidden": 4, "training": {"epochs": 1}}]}


@pytest.fixture(scope="module")
def federated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose federation is finished; not to be changed."""
    return run_federation(tmp_path_factory.mktemp("run") / "run", scenario(**ONE_ATTACK)).root


@pytest.fixture
def run(federated: Path, tmp_path: Path) -> RunDirectory:
    """A copy of it."""
    return RunDirectory(Path(shutil.copytree(federated, tmp_path / "run")))


def test_a_run_lies_where_it_is_told_or_under_name_and_hash(tmp_path: Path) -> None:
    checked = scenario()
    assert open_run(checked, tmp_path).root == tmp_path
    assert open_run(checked, None).root == Path("runs") / f"tiny-{scenario_fingerprint(checked)[:10]}"


def test_a_finished_federation_is_reused(run: RunDirectory) -> None:
    before = tree(run.transcript)
    age = (run.transcript / "manifest.json").stat().st_mtime_ns
    federate_scenario(scenario(**ONE_ATTACK), run, force=False, progress=QUIET)
    assert tree(run.transcript) == before
    assert (run.transcript / "manifest.json").stat().st_mtime_ns == age


def test_an_attack_leaves_results_and_a_report(run: RunDirectory) -> None:
    results = attack_run(run, progress=QUIET, isolated=False)
    assert results is not None
    assert results == load_results(run.root)
    assert {summary.attack for summary in results.attacks if not summary.is_baseline} == {"lti"}
    page = run.root / "report.html"
    page.unlink()
    assert write_report(run) == page
    assert page.is_file()


def test_attacks_can_be_changed_after_the_federation(run: RunDirectory) -> None:
    results = attack_run(run, overrides=["attacks.lti.id=other"], progress=QUIET, isolated=False)
    assert results is not None
    assert [summary.attack for summary in results.attacks if not summary.is_baseline] == ["other"]
    assert run.scenario().attacks[0].name == "other", "the directory says what was run"


@pytest.mark.parametrize("override", ["federation.rounds=3", "seed=5", "model.hidden=[7]"])
def test_the_federation_cannot_be_changed_afterwards(run: RunDirectory, override: str) -> None:
    before = tree(run.root)
    with pytest.raises(InputError, match="these cannot be overridden after recording"):
        attack_run(run, overrides=[override], progress=QUIET, isolated=False)
    assert tree(run.root) == before


def test_without_truth_there_are_reconstructions_but_no_scores(run: RunDirectory) -> None:
    shutil.rmtree(run.truth)
    results = attack_run(run, progress=QUIET, isolated=False)
    assert (run.attacks / "lti").is_dir()
    assert [(each.attack, each.images, each.metrics) for each in results.attacks] == [("lti", 0, {})]
    assert results.attacks[0].unscored == len(results.rows) == 4
    assert (run.root / "report.html").is_file()


def test_a_run_whose_truth_is_gone_cannot_be_finished(run: RunDirectory) -> None:
    shutil.rmtree(run.truth)
    with pytest.raises(FedleakError, match="is missing"):
        run_scenario(scenario(**ONE_ATTACK), out=run.root, force=False, progress=QUIET)


def test_an_unknown_device_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="device"):
        run_scenario(scenario(device="cuda:63"), out=tmp_path / "run", force=False, progress=QUIET)
    assert not (tmp_path / "run").exists()


def test_python_takes_a_mapping_a_path_or_a_name(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    results = fedleak.run(tiny(**ONE_ATTACK), out=run.root)
    file = write_scenario(tmp_path, **ONE_ATTACK)
    for given in (file, str(file)):
        assert fedleak.run(given, out=str(run.root)).fingerprint == results.fingerprint
    with pytest.raises(InputError, match="did you mean 'quickstart'"):
        fedleak.run("quickstar")
    with pytest.raises(InputError, match=r"seed.*'x'"):
        fedleak.run("quickstart", overrides=["seed=x"])


def test_attacks_undo_the_normalisation_that_is_set_and_keep_height_and_width(tmp_path: Path) -> None:
    """An exact attack stays exact, and the box of an inversion is that of pixels."""
    raw = tiny(
        dataset={"kind": "digits", "size": [8, 12], "mean": 0.3, "std": 0.2},
        adversary__injection=None,
        attacks=["linear_layer", {"kind": "inverting_gradients", "iterations": 3}],
    )
    results = fedleak.run(raw, out=tmp_path)
    exact = next(summary for summary in results.attacks if summary.attack == "linear_layer")
    assert exact.metrics["psnr"].mean > 60
    with Image.open(next((tmp_path / "pictures").rglob("*.png"))) as picture:
        assert picture.width * 8 == picture.height * 12


@pytest.mark.parametrize(("value", "alone"), [(None, True), ("on", True), ("off", False)])
def test_attacks_run_in_a_process_of_their_own_unless_that_is_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, alone: bool
) -> None:
    """The commands' default; a function that is changed in this process alone tells where attacks run."""
    monkeypatch.delenv("FEDLEAK_ISOLATION")
    if value is not None:
        monkeypatch.setenv("FEDLEAK_ISOLATION", value)
    here: list[int] = []
    original = session.in_order
    monkeypatch.setattr(session, "in_order", lambda attacks: here.append(1) or original(attacks))
    fedleak.run(tiny(**ONE_ATTACK), out=tmp_path)
    assert bool(here) is not alone


def test_isolation_is_on_or_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDLEAK_ISOLATION", "no")
    with pytest.raises(InputError, match=r"FEDLEAK_ISOLATION.*on or off"):
        fedleak.run(tiny(), out=tmp_path)


def test_a_second_run_of_other_data_in_one_process_uses_its_own_images(tmp_path: Path) -> None:
    """The serial engine keeps clients' images by folder; those of the run before must not come back."""
    updates = []
    for place, seed in (("same", 1), ("same", 2), ("fresh", 2)):
        out, data = tmp_path / place, {"kind": "synthetic", "size": 8, "images": 120, "seed": seed}
        fedleak.run(tiny(dataset=data, **ONE_ATTACK), out=out, force=out.exists())
        updates.append((out / "transcript/updates.npy").read_bytes())
    assert updates[1] == updates[2]
