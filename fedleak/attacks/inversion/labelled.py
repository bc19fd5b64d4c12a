"""Inversion with the labels fixed beforehand."""

from __future__ import annotations

import torch

from fedleak.attacks.base import Reconstruction
from fedleak.attacks.inversion.base import InversionAttack, Problem
from fedleak.threat import GlobalModel, InferredLabels, ModelArchitecture, PixelPrior, SharedUpdate


class LabelledInversion(InversionAttack):
    """Base of attacks that take the labels from the scenario's label inference."""

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
        steps = self.steps_of(update, len(labels.labels))
        return self.invert(Problem(update, architecture, model, pixels, labels.labels, steps), generator)
