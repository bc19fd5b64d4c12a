"""Inversion with the labels fixed beforehand."""

from __future__ import annotations

import torch

from fedleak.attacks.base import Reconstruction
from fedleak.attacks.inversion.base import InversionAttack
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


class LabelledInversion(InversionAttack):
    """Base of attacks that take the labels from the scenario's label inference."""

    def reconstruct(
        self,
        update: SharedUpdate,
        architecture: ModelArchitecture,
        model: GlobalModel,
        pixels: PixelPrior,
        labels: InferredLabels,
        training: TrainingDetails | None = None,
        order: MiniBatchOrder | None = None,
        start: StartingImages | None = None,
        chain: PostProcessingDetails | None = None,
        statistics: BatchStatistics | None = None,
        *,
        generator: torch.Generator,
    ) -> Reconstruction:
        """Images of one update, image ``i`` of class ``labels[i]``."""
        problem = self.problem(
            update=update,
            architecture=architecture,
            model=model,
            pixels=pixels,
            labels=labels,
            training=training,
            order=order,
            start=start,
            chain=chain,
            statistics=statistics,
        )
        return self.invert_one(problem, generator)
