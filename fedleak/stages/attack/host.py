"""What the attack stage needs of the process that runs it, beside progress."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from fedleak.attacks import artefacts


class Host(Protocol):
    """Receives what an attack has finished; keeps other processes from training the same artefact."""

    def exclusive(self, key: str) -> AbstractContextManager[None]:
        """Let one process on the machine at a time find or create the trained artefact of ``key``."""

    def begun(self, attack: str) -> None:
        """An attack begins."""

    def written(self) -> None:
        """New files of the attack are complete."""

    def ended(self, attack: str) -> None:
        """An attack has ended, and all of its files are complete."""


class SameProcess:
    """Attacks in the process of their caller, whose files are the run's own.

    Args:
        ended: called with the name of every attack that has ended.
    """

    def __init__(self, ended: Callable[[str], None] | None = None) -> None:
        self._ended = ended

    def exclusive(self, key: str) -> AbstractContextManager[None]:
        """The lock of the artefact in the cache."""
        return artefacts.exclusive(key)

    def begun(self, attack: str) -> None:
        """Do nothing."""

    def written(self) -> None:
        """Do nothing."""

    def ended(self, attack: str) -> None:
        """Tell who asked for it."""
        if self._ended is not None:
            self._ended(attack)
