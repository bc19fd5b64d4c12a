"""What one inversion starts with."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fedleak.attacks.inversion.replay import LocalSteps
from fedleak.errors import AttackFailedError
from fedleak.threat import GlobalModel, ModelArchitecture, PixelPrior, SharedUpdate, StartingImages


@dataclass(frozen=True)
class Problem:
    """One update with everything that is known about it."""

    update: SharedUpdate
    architecture: ModelArchitecture
    model: GlobalModel
    pixels: PixelPrior
    labels: Tensor | None
    """``(B,)``; None to optimise them jointly."""
    steps: LocalSteps | None
    start: StartingImages | None = None

    @property
    def samples(self) -> int:
        """Images behind the update.

        Raises:
            AttackFailedError: if neither the labels nor the client say how many.
        """
        count = len(self.labels) if self.labels is not None else self.update.samples
        if count is None:
            raise AttackFailedError("the client does not say how many images the update comes from")
        return count
