"""A study on a disk that is really full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedleak.cli.live import QuietWatcher
from fedleak.errors import FedleakError
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.records import CELL, load_cell
from fedleak.studies.results import StudyResults
from fedleak.studies.run import run_study
from fedleak.studies.study import load_study
from tests.studies.builders import write_study
from tests.studies.killing import rows

SIZE = 24 * 2**20
LEAVE = 700 * 2**10
"""Bytes that stay free: enough for a cell or two, not for all four."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"file systems cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path, *, leave: int) -> Path:
    """A file that takes what is free but for ``leave`` bytes."""
    space = os.statvfs(disk)
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - leave)
    return ballast


def finished(out: Path) -> dict[str, int]:
    cells = (path.parent for path in out.glob(f"cells/*/{CELL}"))
    return {
        cell.name: (cell / CELL).stat().st_mtime_ns
        for cell in cells
        if (record := load_cell(cell)) is not None and record.status == "ok"
    }


def test_a_full_disk_costs_only_the_cells_that_did_not_fit(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path / "cache"))
    out, file = small_disk / "out", write_study(tmp_path, claims=[])
    ballast = fill(small_disk, leave=LEAVE)
    with pytest.raises(FedleakError, match="No space left on device"):
        run(file, out)
    before = finished(out)
    assert 0 < len(before) < 4
    ballast.unlink()
    assert {cell.status for cell in run(file, out).cells} == {"ok"}
    after = finished(out)
    assert len(after) == 4
    assert before.items() <= after.items()
    run(file, tmp_path / "roomy")
    assert rows(out) == rows(tmp_path / "roomy")


def run(file: Path, out: Path) -> StudyResults:
    return run_study(load_study(file), StudyDirectory(out), QuietWatcher(), serial=True, retry_failed=True)
