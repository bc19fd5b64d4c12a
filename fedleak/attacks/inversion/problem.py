"""What one inversion starts with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from fedleak.attacks.inversion.estimation import estimated_distance
from fedleak.attacks.inversion.replay import LocalSteps
from fedleak.attacks.inversion.settings import LocalTrainingGuess
from fedleak.client.postprocess.base import PostProcess
from fedleak.client.postprocess.gradient_masking import frozen_layers
from fedleak.errors import AttackFailedError
from fedleak.threat import (
    BatchStatistics,
    GlobalModel,
    InferredLabels,
    MiniBatchOrder,
    ModelArchitecture,
    PixelPrior,
    PostProcessingDetails,
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
    chain: tuple[PostProcess, ...] = ()
    """Post-processing that trial updates pass through."""
    statistics: Mapping[str, Tensor] = field(default_factory=dict)
    """Of the victim's batch at each normalisation layer, ``(C,)``, where they are known."""

    @property
    def knows_size(self) -> bool:
        """Whether trial updates come out as long as the client's: a delta of unknown local steps is a direction."""
        return self.update.protocol != "fedavg" or self.steps is not None

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
    order: MiniBatchOrder | None = None,
    start: StartingImages | None = None,
    chain: PostProcessingDetails | None = None,
    statistics: BatchStatistics | None = None,
) -> Problem:
    """Put capabilities together; local steps are those that were granted, or else guessed.

    Raises:
        AttackFailedError: if the number of images is unknown, or a learning rate cannot be estimated.
    """
    fixed = labels.labels if labels is not None else None
    if training is not None:
        guess = LocalTrainingGuess(
            learning_rate=training.local_learning_rate,
            epochs=training.local_epochs,
            batch_size=training.batch_size,
            sgd=training.sgd,
            orders=guess.orders if guess is not None else 1,
        )
    samples = _samples(update, fixed)
    steps = None
    if guess is not None and update.protocol == "fedavg":
        if training is not None and order is not None:
            steps = LocalSteps(training.local_learning_rate, order.batches, sgd=training.sgd)
        else:
            known = (update, architecture, model, pixels, fixed)
            steps = guess.steps(samples, estimated_distance(*known) if guess.is_estimated else 0.0)
    replayed = chain.steps if chain is not None else ()
    if steps is not None:
        _check_one_client(update, steps)
        steps = replace(steps, frozen=frozen_layers(replayed))
    measured = statistics.tensors if statistics is not None else {}
    return Problem(update, architecture, model, pixels, fixed, steps, start, replayed, measured)


def _check_one_client(update: SharedUpdate, steps: LocalSteps) -> None:
    if update.summed and any(len(one.batches) > 1 for one in steps.every):
        raise AttackFailedError(
            f"the local steps of {len(update.summed)} clients cannot be unrolled from the sum of their updates"
        )
