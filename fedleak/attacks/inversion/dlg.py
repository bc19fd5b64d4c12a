"""DLG, Deep Leakage from Gradients."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from fedleak import limits
from fedleak.attacks.base import Reconstruction
from fedleak.attacks.inversion.base import InversionAttack
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.knowledge import InversionKnowledge
from fedleak.attacks.inversion.optimisers import Optimiser

LBFGS = Optimiser(kind="lbfgs", learning_rate=1.0, schedule="constant", inner_steps=20, line_search=True)
"""Steps of 20 iterations at rate 1, as in the code of Zhu et al. 2019. Their code uses no line search and diverges on
about one image in four; ``line_search: false`` gives the original."""


class Dlg(InversionAttack):
    """Deep Leakage from Gradients: images and labels together, by L-BFGS (Zhu et al. 2019, arXiv 1906.08935).

    Squared distance (Eq. 4). Labels are optimised together with the images, as the softmax of free logits; no priors
    and no pixel bounds. The normalisation constants are used only to convert the result to pixels.

    Fails often with activations that have no second derivative (ReLU), with batches of more than a few images, on
    trained models, whose gradients are small, and under noise: it has no prior that prefers images.
    """

    kind: Literal["dlg"] = "dlg"
    iterations: int = Field(default=300, ge=1, le=limits.ITERATIONS)
    distance: Distance = Distance(kind="squared_l2")
    optimiser: Optimiser = LBFGS
    box: bool = False

    def reconstruct(self, known: InversionKnowledge, *, generator: torch.Generator) -> Reconstruction:
        """Images and labels of one update."""
        return self.invert(known, generator)
