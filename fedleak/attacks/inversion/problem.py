"""What one inversion starts with."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fedleak.attacks.inversion.replay import LocalSteps
from fedleak.attacks.inversion.settings import LocalTrainingGuess
from fedleak.errors import AttackFailedError
from fedleak.threat import (
    GlobalModel,
    InferredLabels,
    ModelArchitecture,
    PixelPrior,
    SharedUpdate,
    StartingImages,
    TrainingDetails,
)


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
        return _samples(self.update, self.labels)


def _samples(update: SharedUpdate, labels: Tensor | None) -> int:
    count = len(labels) if labels is not None else update.samples
    if count is None:
        raise AttackFailedError("the client does not say how many images the update comes from")
    return count


def gather(
    guess: LocalTrainingGuess | None,
    *,
    update: SharedUpdate,
    architecture: ModelArchitecture,
    model: GlobalModel,
    pixels: PixelPrior,
    labels: InferredLabels | None = None,
    training: TrainingDetails | None = None,
    start: StartingImages | None = None,
) -> Problem:
    """Put capabilities together; local steps are those that were granted, or else guessed.

    Raises:
        AttackFailedError: if the number of images is unknown.
    """
    fixed = labels.labels if labels is not None else None
    if training is not None:
        guess = LocalTrainingGuess(
            learning_rate=training.local_learning_rate, epochs=training.local_epochs, batch_size=training.batch_size
        )
    samples = _samples(update, fixed)
    steps = guess.steps(samples) if guess is not None and update.protocol == "fedavg" else None
    return Problem(update, architecture, model, pixels, fixed, steps, start)
