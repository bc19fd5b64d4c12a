"""FedLeak: partial gradient matching with gradient regularisation."""

from __future__ import annotations

from typing import ClassVar, Literal

from fedleak.attacks.inversion.base import LabelledInversion
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors


class FedLeakAttack(LabelledInversion):
    """FedLeak: partial gradient matching with gradient regularisation (Fan et al. 2025, arXiv 2506.08435).

    From the paper: only a subset of the gradient's elements is matched, and the norm of the gradient at the dummy
    images is penalised, both by approximations. Our readings: the subset is the largest coordinates of each layer's
    shared gradient, and the penalty blends in the gradient at a point slightly uphill; share, blend and step are our
    choices.
    """

    kind: Literal["fedleak_attack"] = "fedleak_attack"
    stream: ClassVar[str] = "fedleak"
    distance: Distance = Distance(kind="cosine", top_share=0.5)
    priors: Priors = Priors(total_variation=1e-6)
    optimiser: Optimiser = Optimiser(
        kind="signed_adam", learning_rate=0.1, schedule="step", gradient_blend=0.5, gradient_step=0.1
    )
