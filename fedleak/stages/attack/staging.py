"""The folder that the process of the attacks is given instead of the run directory."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fedleak.cache import cache_root
from fedleak.errors import FedleakError
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack.record import RECORD
from fedleak.transcript.manifest import MANIFEST

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
Stamp = tuple[int, int, int]
"""Inode, size and time of the last change of a file, which even its owner cannot set."""


class Staging:
    """A private folder: hard links to the transcript (copies where links are impossible), and copies of what is done.

    Args:
        folder: the folder, which its owner alone can read.
        run: the run directory.
        attacks: names of the attacks, the only folders that are copied back.
    """

    def __init__(self, folder: Path, run: RunDirectory, attacks: Sequence[str]) -> None:
        self.files, self.cache, self.temporary = RunDirectory(folder), folder / "cache", folder / "tmp"
        self.code = folder / "code"
        self._run, self._attacks = run, attacks
        self._logged = 0
        self._copied: dict[tuple[str, str], Stamp] = {}
        self._transcript: dict[Path, Stamp] = {}

    def fill(self, checksums: Mapping[str, str]) -> None:
        """Link the files of the transcript; copy earlier reconstructions."""
        for name in (MANIFEST, *checksums):
            source, target = (self._run.transcript / name).resolve(), self.files.transcript / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.hardlink_to(source)
            except OSError:  # another file system, or another owner
                shutil.copyfile(source, target)
            self._transcript[source] = _stamp(source)
        for name in self._attacks:
            (self.files.attacks / name).mkdir(parents=True)
            for path in _plain_files(self._run.attacks / name):
                shutil.copyfile(path, self.files.attacks / name / path.name)
                self._copied[name, path.name] = _stamp(self.files.attacks / name / path.name)
        self.cache.mkdir()
        self.temporary.mkdir()

    def collect(self) -> None:
        """Copy what the attacks have written into the run directory; remove what they have removed."""
        for name in self._attacks:
            target = self._run.attacks / name
            target.mkdir(parents=True, exist_ok=True)
            # Records last: they say that the arrays are complete.
            found = sorted(_plain_files(self.files.attacks / name), key=_last_the_record)
            for path in found:
                with suppress(FileNotFoundError):  # removed since it was listed; the next call removes its copy
                    self._copy(name, path, target)
            gone = {key for key in self._copied if key[0] == name} - {(name, path.name) for path in found}
            for key in sorted(gone, key=lambda key: key[1] != RECORD):
                (target / key[1]).unlink(missing_ok=True)
                del self._copied[key]
        self._collect_errors()

    def _copy(self, name: str, path: Path, target: Path) -> None:
        """Copy a file of an attack that is new or changed; unlike any other, it may go away meanwhile."""
        stamp = _stamp(path)
        if self._copied.get((name, path.name)) != stamp:
            _replace(path, target / path.name)
            self._copied[name, path.name] = stamp

    def _collect_errors(self) -> None:
        log = self.files.errors
        if log.is_file() and not log.is_symlink() and (text := log.read_bytes()[self._logged :]):
            self._logged += len(text)
            with self._run.errors.open("ab") as file:
                file.write(text)

    def check_transcript(self) -> None:
        """Check that no attack has written to the files of the transcript.

        Raises:
            FedleakError: if one has.
        """
        for path, stamp in self._transcript.items():
            if _stamp(path) != stamp:
                raise FedleakError(f"an attack has changed the transcript ({path}); record the federation again")


@contextmanager
def staged(run: RunDirectory, checksums: Mapping[str, str], attacks: Sequence[str]) -> Iterator[Staging]:
    """The folder for the attacks; whatever the block raises, finished work is copied back and the folder removed."""
    folder = Path(tempfile.mkdtemp(prefix="fedleak-attacks-", dir=_base(run.transcript)))
    staging = Staging(folder, run, attacks)
    try:
        staging.fill(checksums)
        try:
            yield staging
        finally:
            staging.collect()
        staging.check_transcript()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _base(transcript: Path) -> Path:
    """A folder of temporary files where hard links to the transcript are possible; else the cache, which is on disk."""
    cache_root().mkdir(parents=True, exist_ok=True)
    own = transcript.resolve().stat().st_dev
    usual = Path(tempfile.gettempdir())
    return usual if usual.stat().st_dev == own else cache_root()


def _plain_files(folder: Path) -> list[Path]:
    """Regular files in a folder, without hidden ones, which are half-written."""
    if not folder.is_dir() or folder.is_symlink():
        return []
    return [
        path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_file() and not path.is_symlink()
    ]


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_ctime_ns


def _replace(source: Path, target: Path) -> None:
    """Copy a file so that readers see either the old one or the new one."""
    temporary = target.with_name(f".{target.name}.new")
    shutil.copyfile(source, temporary, follow_symlinks=False)
    temporary.replace(target)


def _last_the_record(path: Path) -> tuple[bool, bool, str]:
    return path.name == RECORD, path.suffix == ".json", path.name
