"""The finished study that several tests read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def finished(four_cells: Path) -> Path:
    """The study that all tests share; not to be changed."""
    return four_cells


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of it to play with."""
    return Path(shutil.copytree(finished, tmp_path / "copy", symlinks=True))
