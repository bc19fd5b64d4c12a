"""GradInversion: group consensus, fidelity priors and Langevin noise."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedleak import limits
from fedleak.attacks.inversion.base import LabelledInversion
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors
from fedleak.attacks.inversion.settings import Group
from fedleak.attacks.inversion.states import KeptName


class GradInversion(LabelledInversion):
    """GradInversion: group consensus, fidelity priors, Langevin noise (Yin et al. 2021, arXiv 2104.07586).

    Defaults are the paper's (section 4): L2 per layer times 1e-3, TV 1e-4, L2 1e-6, batch norm 0.1, group 0.01, eight
    seeds, Adam at 0.1 with 50 iterations of warm-up and a cosine schedule, noise of 0.2 learning rates, 20,000
    iterations. Our readings, where the paper gives no details: image priors as in DeepInversion's code, to which the
    paper refers (arXiv 1912.08795); pixels clipped to their valid range; the result is the last iterate of the seed
    whose last iterate matches best; Adam's default momenta. Batch-norm statistics are the broadcast running ones (the
    paper's approximate case); registration uses whole-pixel shifts that do not wrap around. The paper's own label rule
    is the label inference ``min_rule``.

    Fails without normalisation layers, whose statistics carry most of its images, with labels that repeat in the batch,
    and where eight seeds do not agree on one image, so that their consensus blurs.
    """

    kind: Literal["gradinversion"] = "gradinversion"
    iterations: int = Field(default=20_000, ge=1, le=limits.ITERATIONS)
    restarts: int = Field(default=8, ge=1, le=limits.RESTARTS)
    keep: KeptName = "last"
    distance: Distance = Distance(kind="l2_per_layer", scale=1e-3)
    priors: Priors = Priors(total_variation=1e-4, total_variation_kind="norms", l2=1e-6, batch_norm=0.1, group=0.01)
    optimiser: Optimiser = Optimiser(kind="adam", learning_rate=0.1, schedule="cosine", warm_up=50, langevin=0.2)
    group: Group = Group(consensus="registered", start=5000, refresh=100)
