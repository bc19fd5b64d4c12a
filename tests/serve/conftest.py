"""A folder with a finished run, a finished study, a stopped run, and one that is running."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from fedleak.cli.live import QuietWatcher
from fedleak.pipeline import run
from fedleak.progress import QuietProgress
from fedleak.results.running import SharedProgress
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.run import run_study
from fedleak.studies.study import load_study
from tests.scenarios import tiny
from tests.studies.builders import study

PRIVATE = "nobody may read this"


@pytest.fixture(scope="session")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs of one federation, with attacks of different width; not to be changed."""
    folder = tmp_path_factory.mktemp("two")
    for hidden in (4, 8):
        raw = tiny() | {"name": f"hidden-{hidden}", "attacks": [{"kind": "lti", "hidden": hidden}]}
        raw["attacks"][0]["training"] = {"epochs": 1}
        run(raw, out=folder / f"hidden-{hidden}")
    return folder


@pytest.fixture
def folder(two_runs: Path, tmp_path: Path) -> Path:
    root = Path(shutil.copytree(two_runs, tmp_path / "served"))
    (root / "stopped").mkdir()
    (root / "stopped" / "scenario.yaml").write_text(yaml.safe_dump({"name": "half <b>done</b>", "description": "slow"}))
    (root / "deep" / "busy").mkdir(parents=True)
    (root / "deep" / "busy" / "scenario.yaml").write_text("name: busy\n")
    progress = SharedProgress(root / "deep" / "busy", QuietProgress())
    progress.task("attacking with dlg", 12)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "report.html").write_text(PRIVATE)
    (root / "link").symlink_to(tmp_path / "secret")
    return root


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four cells, run in this process; not to be changed."""
    root = tmp_path_factory.mktemp("study") / "out"
    run_study(load_study(study()), StudyDirectory(root), QuietWatcher(), serial=True)
    return root
