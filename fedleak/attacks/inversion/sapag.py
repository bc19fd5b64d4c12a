"""SAPAG, the self-adaptive privacy attack from gradients."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedleak import limits
from fedleak.attacks.inversion.base import LabelledInversion
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.optimisers import Optimiser


class Sapag(LabelledInversion):
    """Self-adaptive privacy attack: a Gaussian kernel of each layer's difference (Wang et al. 2020, arXiv 2009.06228).

    With squared distances, layers with large gradients dominate; the kernel bounds every layer's contribution. From the
    paper: the kernel of each layer's difference, with a width that adapts to the layer. Our readings: the width is the
    variance of the layer's shared gradient, layers have equal weight, the optimiser is plain Adam with pixel bounds.

    Fails as ``dlg`` does on large batches and trained models; where the kernel is narrow against the first difference
    of gradients, the loss is flat and the search does not leave its start.
    """

    kind: Literal["sapag"] = "sapag"
    distance: Distance = Distance(kind="gaussian_kernel")
    optimiser: Optimiser = Optimiser(kind="adam", learning_rate=0.1, schedule="step")
    iterations: int = Field(default=4000, ge=1, le=limits.ITERATIONS)
