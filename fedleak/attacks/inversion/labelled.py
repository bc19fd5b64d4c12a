"""Inversion with the labels fixed beforehand."""

from __future__ import annotations

import torch

from fedleak.attacks.base import Reconstruction
from fedleak.attacks.inversion.base import InversionAttack
from fedleak.attacks.inversion.problem import Problem
from fedleak.attacks.inversion.settings import LocalTrainingGuess
from fedleak.threat import GlobalModel, InferredLabels, ModelArchitecture, PixelPrior, SharedUpdate, StartingImages


class LabelledInversion(InversionAttack):
    """Base of attacks that take the labels from the scenario's label inference."""

    local_training: LocalTrainingGuess | None = None
    """For weight deltas: unroll these local steps; one full-batch step of unknown size unless given."""

    def reconstruct(
        self,
        update: SharedUpdate,
        architecture: ModelArchitecture,
        model: GlobalModel,
        pixels: PixelPrior,
        labels: InferredLabels,
        start: StartingImages | None = None,
        *,
        generator: torch.Generator,
    ) -> Reconstruction:
        """Images of one update, image ``i`` of class ``labels[i]``."""
        guess = self.local_training if update.protocol == "fedavg" else None
        steps = guess.steps(len(labels.labels)) if guess else None
        return self.invert(Problem(update, architecture, model, pixels, labels.labels, steps, start), generator)
