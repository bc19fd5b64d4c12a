"""FedLeak."""

from __future__ import annotations

from typing import Literal

from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.labelled import LabelledInversion
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors


class FedLeak(LabelledInversion):
    """FedLeak: partial gradient matching with gradient regularisation (Fan et al. 2025, arXiv 2506.08435).

    Our reading of both parts: only the largest coordinates of each layer's shared gradient are matched, and every step
    mixes in the gradient from a point slightly uphill, which penalises the gradient's norm.
    """

    kind: Literal["fedleak"] = "fedleak"
    distance: Distance = Distance(kind="cosine", top_share=0.5)
    priors: Priors = Priors(total_variation=1e-6)
    optimiser: Optimiser = Optimiser(
        kind="signed_adam", learning_rate=0.1, schedule="step", gradient_blend=0.5, gradient_step=0.1
    )
