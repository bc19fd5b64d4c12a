"""Starting point of a hybrid attack: the stored reconstructions of another attack of the scenario."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch

from fedleak.errors import AttackFailedError
from fedleak.stages.attack.record import AttackRecord, Attempt, check_files, load_images, load_record
from fedleak.threat import StartingImages


class FinishedAttack:
    """Reconstructions of a finished attack on the same transcript.

    Args:
        folder: folder of that attack.

    Raises:
        LookupError: if the attack has not been finished.
        InputError: if a file of it was changed since or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        record = load_record(folder)
        if record is None:
            raise LookupError(f"attack {folder.name} has not been run")
        check_files(folder)
        self.record: AttackRecord = record
        self._folder = folder

    @cached_property
    def _images(self) -> dict[int, torch.Tensor]:
        return load_images(self._folder)

    def attempt(self, row: int) -> Attempt:
        """The attempt on the update in ``row``."""
        return next(attempt for attempt in self.record.attempts if attempt.row == row)

    def of(self, row: int) -> StartingImages:
        """The reconstruction of the update in ``row``.

        Raises:
            AttackFailedError: if the other attack failed on it.
        """
        name, attempt = self.record.attack, self.attempt(row)
        if attempt.status == "failed":
            raise AttackFailedError(f"{name}, from which it starts, failed: {attempt.reason}")
        ordered = self.record.label_source == "attack" and attempt.labels is not None
        labels = torch.tensor(attempt.labels) if ordered else None
        return StartingImages(images=self._images[row], labels=labels, attack=name)
