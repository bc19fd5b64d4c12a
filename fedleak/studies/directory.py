"""Files of a study."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedleak.errors import InputError
from fedleak.locks import sole_lock
from fedleak.records import write_atomically
from fedleak.results.running import RUNNING_JSON
from fedleak.run_directory import RunDirectory, refuse_links
from fedleak.studies.records import CellRecord, load_cell

STUDY_FILE = "study.yaml"
LOCK = ".lock"
FOLDERS = ("federations", "cells", "logs", "locks")
OWN_FILES = (RUNNING_JSON, "study.json", "study.csv", "report.html", "frontier.json", "frontier.html")
TAIL_LINES = 12


@dataclass(frozen=True)
class StudyDirectory:
    """The files of one study. Federations and cells are named by content hash, so that other budgets, more seeds
    or a longer axis reuse what the directory already holds.
    """

    root: Path

    def federation(self, key: str) -> RunDirectory:
        """Run directory of a federation that cells share."""
        return RunDirectory(self.root / "federations" / key)

    def cell(self, key: str) -> RunDirectory:
        """Run directory of a cell; its transcript and truth are links to those of its federation."""
        return RunDirectory(self.root / "cells" / key)

    def log(self, key: str) -> Path:
        """The log of a cell or federation."""
        return self.root / "logs" / f"{key}.log"

    def record(self, key: str) -> CellRecord | None:
        """The record of a cell; None if it is not finished."""
        return load_cell(self.cell(key).root)

    def lock_file(self, key: str) -> Path:
        """Lock file of a cell or federation, held by the process that works on it."""
        return self.root / "locks" / key

    def tail(self, key: str) -> tuple[str, ...]:
        """The last lines of a log."""
        try:
            lines = self.log(key).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ()
        return tuple(lines[-TAIL_LINES:])

    def _own_links(self) -> Iterator[Path]:
        """The links of cells to the transcript and truth of a federation of this study."""
        federations = os.path.realpath(self.root / "federations")
        for name in ("transcript", "truth"):
            for link in self.root.glob(f"cells/*/{name}"):
                target = Path(os.path.realpath(link))
                if target.name == name and str(target.parent.parent) == federations:
                    yield link

    @contextmanager
    def claim(self, study_yaml: str, *, force: bool = False) -> Iterator[None]:
        """Create the directory and lock it against other drivers while the block runs; ``force`` empties it first.

        Raises:
            InputError: if it holds other files or links that leave it, or another process uses it.
        """
        if self.root.exists() and not self.root.is_dir():
            raise InputError("--out", str(self.root), "it is a file; expected a directory")
        if self.root.is_dir() and not (self.root / STUDY_FILE).exists():
            foreign = sorted(
                p.name for p in self.root.iterdir() if p.name != LOCK and not p.name.startswith(f".{STUDY_FILE}")
            )
            if foreign:
                raise InputError("--out", str(self.root), f"it holds other files ({foreign[0]}); choose another")
        self.root.mkdir(parents=True, exist_ok=True)
        refuse_links(self.root, but=set(self._own_links()))
        with sole_lock(self.root / LOCK, option="--out"):
            if force:
                self._clear()
            write_atomically(self.root / STUDY_FILE, study_yaml)
            for folder in FOLDERS:
                (self.root / folder).mkdir(exist_ok=True)
            yield

    def _clear(self) -> None:
        """Remove the files that fedleak wrote and no others."""
        for name in FOLDERS:
            if (self.root / name).is_dir():
                shutil.rmtree(self.root / name)
        for name in OWN_FILES:
            (self.root / name).unlink(missing_ok=True)
