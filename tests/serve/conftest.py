"""A folder with a finished run, a finished study, a stopped run, and one that is running."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from fedleak.pipeline import run
from fedleak.progress import QuietProgress
from fedleak.results.running import SharedProgress
from tests.scenarios import tiny

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


def lay_out(two_runs: Path, beside: Path) -> Path:
    """A folder to serve below ``beside``, where a secret lies as well."""
    root = Path(shutil.copytree(two_runs, beside / "served"))
    (root / "stopped").mkdir()
    (root / "stopped" / "scenario.yaml").write_text(yaml.safe_dump({"name": "half <b>done</b>", "description": "slow"}))
    (root / "deep" / "busy").mkdir(parents=True)
    (root / "deep" / "busy" / "scenario.yaml").write_text("name: busy\n")
    progress = SharedProgress(root / "deep" / "busy", QuietProgress())
    progress.task("attacking with dlg", 12)
    (beside / "secret").mkdir()
    (beside / "secret" / "report.html").write_text(PRIVATE)
    (root / "link").symlink_to(beside / "secret")
    return root


@pytest.fixture
def folder(two_runs: Path, tmp_path: Path) -> Path:
    """Such a folder to play with."""
    return lay_out(two_runs, tmp_path)
