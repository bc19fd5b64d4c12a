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
from fedleak.attacks.inversion.states import KeptName


class InvertingAveraging(InversionAttack):
    """Inverting Gradients through the unrolled local steps of the client (Geiping et al. 2020, section 6).

    arXiv 2003.14053. The attacker knows the settings of local training but not the order of images: each epoch is
    assumed to use the same consecutive mini-batches, unless ``local_training.orders`` requests an average over random
    orders or ``local_training: known_with_order`` the true order. Other settings of ``local_training`` are ignored. A
    gradient (``fedsgd``) is matched directly. The result is the last iterate, as in the authors' code (``keep``).

    Fails where the local training is not as it assumes: another learning rate, or another order of the images over many
    steps. Memory and time grow with the local steps that it unrolls.
    """

    kind: Literal["inverting_averaging"] = "inverting_averaging"
    keep: KeptName = "last"
    distance: Distance = Distance(kind="cosine")
    priors: Priors = Priors(total_variation=1e-6)
    optimiser: Optimiser = Optimiser(kind="signed_adam", learning_rate=0.1, schedule="step")

    def reconstruct(self, known: LocalTrainingKnowledge, *, generator: torch.Generator) -> Reconstruction:
        """Images of one update."""
        return self.invert(known, generator)
