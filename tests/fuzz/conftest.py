"""Folders to fuzz in, and a finished run and study to mutate copies of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fuzz import bases
from tests.fuzz.arena import Arena
from tests.fuzz.oracle import fedleak


def _finish(command: Sequence[str | Path], arena: Arena, *folders: Path) -> None:
    """Run a command on healthy input, with time for imports."""
    with arena.surroundings():
        outcome = fedleak(command, arena.shared, *folders, patience=10)
    assert outcome.code == 0, (outcome.err, outcome.raised)


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    """The folders of all inputs."""
    built = Arena.build(tmp_path_factory.mktemp("fuzz"))
    with built.folder() as folder:  # what is imported at the first use takes time and memory
        path = bases.write(folder, bases.SMALL)
        for command in (["run", path, "--out", "run"], ["labels", "run"], ["doctor", "run"]):
            _finish(command, built, folder)
    return built


@pytest.fixture(scope="session")
def finished_run(arena: Arena) -> Path:
    """The run directory of the small scenario; not to be changed."""
    root = arena.shared / "run"
    path = bases.write(arena.shared, bases.SMALL, "run.yaml")
    _finish(["run", path, "--out", root, "--quiet"], arena)
    return root


@pytest.fixture(scope="session")
def finished_study(arena: Arena) -> Path:
    """The directory of the small study; not to be changed."""
    root = arena.shared / "study"
    path = bases.write(arena.shared, bases.STUDY, "study.yaml")
    _finish(["study", path, "--out", root, "--quiet", "--serial"], arena)
    return root
