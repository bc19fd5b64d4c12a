"""Folders in which commands are fuzzed: one for each input, beside files that must stay as they are."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fuzz.oracle import Outcome, check, fedleak

VICTIM = {"keep.txt": "kept", "folder/images.npy": "kept", "attacks/part-00000.json": "kept", "scenario.yaml": "kept"}
"""Files outside that no command may touch, under names that commands look for."""


@dataclass(frozen=True)
class Arena:
    """A folder of folders.

    Attributes:
        work: each input has a fresh folder below it, which is the working directory of its commands.
        outside: what must not change; inputs may link to it.
        shared: temporary files and caches, which commands may write to.
    """

    work: Path
    outside: Path
    shared: Path

    @classmethod
    def build(cls, root: Path) -> Arena:
        """The folders below ``root``."""
        arena = cls(root / "work", root / "outside", root / "shared")
        for folder in (arena.work, arena.shared / "tmp"):
            folder.mkdir(parents=True)
        for name, text in VICTIM.items():
            (arena.outside / name).parent.mkdir(parents=True, exist_ok=True)
            (arena.outside / name).write_text(text)
        return arena

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A fresh folder, the working directory inside the block; removed afterwards."""
        path = Path(tempfile.mkdtemp(dir=self.work))
        try:
            with chdir(path):
                yield path
        finally:
            _release_pipes(path)
            shutil.rmtree(path)

    def run(self, arguments: Sequence[str | Path], folder: Path) -> Outcome:
        """Run one command, which may write to ``folder`` alone, and check all that must hold."""
        with self.surroundings():
            outcome = fedleak(arguments, folder, self.shared)
        check(outcome)
        if self.outside_files() != VICTIM:
            pytest.fail(f"fedleak {outcome.arguments} changed files outside its folder: {self.outside_files()}")
        return outcome

    @contextmanager
    def surroundings(self) -> Iterator[None]:
        """Inside the block temporary files and caches go below ``shared``, and the home directory is ``outside``."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment(self).items():
                patch.setenv(name, value)
            patch.setattr(tempfile, "tempdir", None)
            yield

    def outside_files(self) -> dict[str, str]:
        """What ``outside`` holds now; what is no text is escaped."""
        files = [path for path in self.outside.rglob("*") if not path.is_dir()]
        return {path.relative_to(self.outside).as_posix(): path.read_text(errors="backslashreplace") for path in files}


def _release_pipes(folder: Path) -> None:
    """Let threads go that still wait for a writer of a pipe."""
    for path in folder.rglob("*"):
        if path.is_fifo():
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))


def environment(arena: Arena) -> dict[str, str]:
    """Variables that keep libraries' own files below ``arena.shared``, and libraries off the network."""
    names = ("FEDLEAK_CACHE", "MPLCONFIGDIR", "XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME", "FLWR_HOME")
    folders = {name: str(arena.shared / name.lower()) for name in names}
    return {**folders, "TMPDIR": str(arena.shared / "tmp"), "HOME": str(arena.outside), "HF_HUB_OFFLINE": "1"}
