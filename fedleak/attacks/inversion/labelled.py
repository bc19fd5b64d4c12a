"""Inversion with the labels fixed beforehand."""

from __future__ import annotations

import torch

from fedleak.attacks.base import Reconstruction
from fedleak.attacks.inversion.base import InversionAttack, LocalTrainingGuess, Problem
from fedleak.threat import GlobalModel, InferredLabels, ModelArchitecture, PixelPrior, SharedUpdate


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
        *,
        generator: torch.Generator,
    ) -> Reconstruction:
        """Images of one update, image ``i`` of class ``labels[i]``."""
        guess = self.local_training if update.protocol == "fedavg" else None
        steps = guess.steps(len(labels.labels)) if guess else None
        return self.invert(Problem(update, architecture, model, pixels, labels.labels, steps), generator)
