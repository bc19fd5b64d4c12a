"""Two finished studies that several tests read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fedleak.cli.live import QuietWatcher
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.run import run_study
from fedleak.studies.study import load_study
from tests.studies.builders import study

FIGURE = {"metric": "mse", "along": "pairs"}
PUBLISHED = {
    "source": "A paper",
    "values": [{"metric": "mse", "value": 0.0123, "where": {"attack": "lti", "pairs": 30}}],
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four cells, run in this process; not to be changed."""
    root = tmp_path_factory.mktemp("study") / "out"
    loaded = load_study(study(figure=FIGURE, published=PUBLISHED))
    run_study(loaded, StudyDirectory(root), QuietWatcher(), serial=True)
    return root


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of it to play with."""
    return Path(shutil.copytree(finished, tmp_path / "copy", symlinks=True))
