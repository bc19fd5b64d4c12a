"""Checksums of files that a stage has finished, kept beside them and compared whenever they are read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from fedleak.errors import InputError
from fedleak.records import Record, load_optional, write_atomically
from fedleak.transcript.fields import Name, Sha256
from fedleak.transcript.manifest import file_digest

CHECKSUMS = "checksums.json"


class Checksums(Record):
    """SHA-256 of the finished files of one folder; it reveals changes, but it is no signature.

    A file is hashed once when its stage finishes and once by each command that reads it, about a second for a gigabyte.
    """

    files: dict[Name, Sha256]
    """Name relative to the folder -> SHA-256."""
    transcript: Sha256 | None = None
    """SHA-256 of the manifest of the transcript that the files belong to."""

    @classmethod
    def of(cls, folder: Path, names: Iterable[str]) -> Self:
        """The checksums of files as they are now."""
        return cls(files={name: file_digest(folder / name) for name in sorted(names)})

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The checksums kept in a folder; None if there are none, as beside files written by hand.

        Raises:
            InputError: if they cannot be read.
        """
        return load_optional(folder / CHECKSUMS, cls, what="readable checksums")

    def save(self, folder: Path) -> None:
        """Keep them in the folder."""
        write_atomically(folder / CHECKSUMS, self.model_dump_json(indent=1))

    def check(self, folder: Path, name: str, *, remedy: str) -> None:
        """Compare a file with its checksum.

        Args:
            folder, name: the file.
            remedy: what to do if it was changed.

        Raises:
            InputError: if it is missing, was changed, or has no checksum.
        """
        path = folder / name
        if name not in self.files:
            raise InputError("RUN_DIR", str(path), f"it is not listed in {folder / CHECKSUMS}; {remedy}")
        if not path.is_file():
            raise InputError("RUN_DIR", str(path), f"the file is missing; {remedy}")
        if file_digest(path) != self.files[name]:
            raise InputError("RUN_DIR", str(path), f"it was changed after it was written; {remedy}")
