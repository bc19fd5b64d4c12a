"""A finished transcript, and copies of it to damage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fedleak.run_directory import RunDirectory
from tests.scenarios import run_federation, scenario


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished federation; not to be changed."""
    return run_federation(tmp_path_factory.mktemp("finished") / "run", scenario())


@pytest.fixture
def copied_run(finished_run: RunDirectory, tmp_path: Path) -> Callable[[], RunDirectory]:
    """A copy to damage."""

    def copy() -> RunDirectory:
        return RunDirectory(Path(shutil.copytree(finished_run.root, tmp_path / "copy", dirs_exist_ok=True)))

    return copy
