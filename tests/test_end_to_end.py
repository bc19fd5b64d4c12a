"""The main job as a user starts it: Flower on Ray, attacks, scores, report."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import pytest

import fedleak
from fedleak.results.schema import load_results
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack.record import load_images
from tests.processes import finish, start
from tests.scenarios import scenario, tiny, tree, write_scenario

LATE = {
    "federation__staleness": {"kind": "uniform", "max": 1},
    "federation__server__aggregation": {"kind": "fedbuff", "buffer": 2},
}
"""An asynchronous federation, whose server has something to remember."""
RAY = {"federation__engine": {"kind": "ray", "cpus": 2}, **LATE}
HEADER = "attack,kind,victim,round,image,mse,psnr,ssim,lpips,label_true,label_guess,seconds"


@pytest.fixture(scope="module")
def ray_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A complete run on Ray."""
    folder = tmp_path_factory.mktemp("ray")
    code, out, err = finish(start("run", write_scenario(folder, **RAY), "--out", folder / "run"))
    assert code == 0, err
    assert "reconstruction of victims' images" in out
    assert f"report: {folder / 'run/report.html'}" in out
    assert "federation rounds" in err, "progress is visible"
    return RunDirectory(folder / "run")


@pytest.fixture(scope="module")
def serial_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """The same from Python, without Ray and with an empty cache."""
    folder = tmp_path_factory.mktemp("serial")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDLEAK_CACHE", str(folder / "cache"))
        results = fedleak.run(tiny(**LATE), out=folder / "run")
    assert results == load_results(folder / "run")
    return RunDirectory(folder / "run")


def metric_cells(run: RunDirectory) -> list[list[str]]:
    """``results.csv`` without the seconds, which differ from run to run."""
    with (run.root / "results.csv").open() as file:
        return [[cell for name, cell in row.items() if name != "seconds"] for row in csv.DictReader(file)]


def test_a_run_leaves_everything(ray_run: RunDirectory) -> None:
    names = {path.name for path in ray_run.root.iterdir()}
    assert names == {".lock", "scenario.yaml", "environment.json", "transcript", "truth", "attacks", "pictures",
                     "results.json", "results.csv", "report.html", "inputs.json"}  # fmt: skip
    with (ray_run.root / "results.csv").open() as file:
        header, *rows = list(csv.reader(file))
    assert ",".join(header).startswith(HEADER)
    assert len(rows) == 4 * 5
    assert "<html" in (ray_run.root / "report.html").read_text()[:200]
    assert not list(ray_run.root.rglob(".*.[0-9]*")), "no temporary files"


def test_ray_and_serial_leave_the_same_bytes(ray_run: RunDirectory, serial_run: RunDirectory) -> None:
    assert tree(ray_run.transcript) == tree(serial_run.transcript)
    assert tree(ray_run.truth) == tree(serial_run.truth)


def test_two_complete_runs_agree_bit_for_bit(ray_run: RunDirectory, serial_run: RunDirectory) -> None:
    for attack in ("lti", "git_coarse"):
        first, second = (load_images(run.attacks / attack) for run in (ray_run, serial_run))
        assert first.keys() == second.keys()
        assert all(first[row].equal(second[row]) for row in first)
    assert metric_cells(ray_run) == metric_cells(serial_run)


def test_the_same_command_reuses_everything(ray_run: RunDirectory) -> None:
    watched = [p for p in ray_run.root.rglob("*") if p.is_file() and p.parts[-2] not in {"pictures", "run"}]
    before = {path: path.stat().st_mtime_ns for path in watched}
    begin = time.monotonic()
    scenario_file = ray_run.root.parent / "tiny.yaml"
    code, _, err = finish(start("run", scenario_file, "--out", ray_run.root))
    assert code == 0, err
    assert {path: path.stat().st_mtime_ns for path in watched} == before
    for words in ("transcript reused", "attack lti: already done", "attack git_coarse: already done"):
        assert words in err
    assert "federation rounds" not in err
    assert time.monotonic() - begin < 60


def test_the_default_directory_is_named_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fedleak.run(tiny(attacks=["lti"], attacks__lti__training__epochs=1))
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("tiny-")
    assert len(folder.name) == len("tiny-") + 10


@pytest.mark.slow
def test_two_runs_on_ray_agree(ray_run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path / "cache"))
    code, _, err = finish(start("run", write_scenario(tmp_path, **RAY), "--out", tmp_path / "run"))
    assert code == 0, err
    again = RunDirectory(tmp_path / "run")
    assert tree(again.transcript) == tree(ray_run.transcript)
    assert metric_cells(again) == metric_cells(ray_run)


def test_the_environment_is_not_changed() -> None:
    before = dict(os.environ)
    scenario()
    assert dict(os.environ) == before
