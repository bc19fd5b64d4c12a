"""Inverting Gradients on federated averaging."""

from __future__ import annotations

from typing import Literal

import torch

from fedleak.attacks.base import Reconstruction
from fedleak.attacks.inversion.base import InversionAttack
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.knowledge import LocalTrainingKnowledge
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors


class InvertingAveraging(InversionAttack):
    """Inverting Gradients through the client's unrolled local steps, which it knows (Geiping et al. 2020, section 6).

    arXiv 2003.14053. The settings of local training are granted; the order of images is not: each epoch is taken to run
    through the same consecutive mini-batches, unless ``local_training.orders`` asks for an average over random ones, or
    ``local_training: known_with_order`` for the true one; of ``local_training`` nothing else counts. A gradient
    (``fedsgd``) is matched as it is.
    """

    kind: Literal["inverting_averaging"] = "inverting_averaging"
    distance: Distance = Distance(kind="cosine")
    priors: Priors = Priors(total_variation=1e-6)
    optimiser: Optimiser = Optimiser(kind="signed_adam", learning_rate=0.1, schedule="step")

    def reconstruct(self, known: LocalTrainingKnowledge, *, generator: torch.Generator) -> Reconstruction:
        """Images of one update."""
        return self.invert(known, generator)
