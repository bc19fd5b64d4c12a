"""AGIC: one approximate gradient of all local images, with layers weighted by depth."""

from __future__ import annotations

from typing import Literal

from fedleak.attacks.inversion.base import LabelledInversion
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors
from fedleak.attacks.inversion.states import KeptName


class Agic(LabelledInversion):
    """AGIC: a delta as one gradient of all images, layers weighted by depth (Xu et al. 2022, arXiv 2204.13784).

    A weight delta of several mini-batches and epochs is matched by the direction of one gradient of the combined batch,
    which avoids to simulate local steps: ``min sum_l w_l (1 - cos(g'_l, w_0,l - w_T,l))`` plus total variation, with
    weights that grow linearly with depth (mean one). Of the paper the abstract was at hand: that the weights are linear
    and the cosines those of single tensors is our reading, and optimiser and total variation are those of Inverting
    Gradients, on which it builds. The paper also adds up the losses of updates from several epochs of the same images;
    an attack here has a single update, of which the sum has one term.

    Fails as local steps get longer or more, when the delta no longer points along a gradient at the broadcast model.
    """

    kind: Literal["agic"] = "agic"
    keep: KeptName = "last"
    distance: Distance = Distance(kind="cosine_per_layer", layer_weights="linear")
    priors: Priors = Priors(total_variation=1e-6)
    optimiser: Optimiser = Optimiser(kind="signed_adam", learning_rate=0.1, schedule="step")
