"""Inverting Gradients: cosine distance with total variation."""

from __future__ import annotations

from typing import Literal

from fedleak.attacks.inversion.base import LabelledInversion
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors
from fedleak.attacks.inversion.states import KeptName


class InvertingGradients(LabelledInversion):
    """Inverting Gradients: cosine distance, TV, signed Adam in a box (Geiping et al. 2020, arXiv 2003.14053).

    Defaults are the paper's for CIFAR-10 on an untrained network (4,000 iterations, TV 1e-6); for trained ResNets the
    paper uses TV 1e-1 and 24,000 iterations. Weight deltas are matched by direction unless ``local_training`` is set.
    As in the authors' code, the result is the last iterate, and of several restarts the one whose last iterate matches
    best; ``keep: lowest`` returns the iterate with the lowest matching loss, whatever the total variation says of it.

    Fails as batches grow and classes repeat in them, on deep networks with statistics of the batch that the adversary
    does not know, and on weight deltas of many local steps that it takes for one gradient.
    """

    kind: Literal["inverting_gradients"] = "inverting_gradients"
    keep: KeptName = "last"
    distance: Distance = Distance(kind="cosine")
    priors: Priors = Priors(total_variation=1e-6)
    optimiser: Optimiser = Optimiser(kind="signed_adam", learning_rate=0.1, schedule="step")
