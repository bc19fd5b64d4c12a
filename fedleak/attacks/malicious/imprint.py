"""Reader of imprint modules."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak import limits
from fedleak.attacks.base import Attack, Reconstruction
from fedleak.attacks.malicious.rows import as_batch, divided, shared_layer
from fedleak.threat import ModelArchitecture, ModelTampering, PixelPrior, SharedUpdate

LAYER = "imprint.measure"


class ImprintReader(Attack):
    """Images of an imprint module's bins, ``(dW_i - dW_j) / (db_i - db_j)`` (Fowl et al. 2022, arXiv 2110.13057).

    ``j`` is the next bin with ``activation: relu`` (section 3); with ``hard_tanh`` bins are separate and nothing is
    subtracted. The image of a bin is exact if no other image of the batch, or of the sum of several clients' batches,
    lies in it; else it is a mixture. A factor common to all bins, such as a learning rate, cancels. Bins with the
    largest gradients come first; where fewer than the client's images are found, the mean of those that were stands for
    the others.

    Fails as the images of a batch outnumber the bins, on weight deltas of several local steps, and where clients refuse
    the module (guard ``imprint``).
    """

    kind: Literal["imprint"] = "imprint"
    reads: ClassVar[str | None] = "imprint"

    smallest_bias: float = Field(default=1e-6, ge=0, le=limits.RATE)
    """Bins whose bias gradient is smaller than this share of the largest count as empty: rounding fills them."""

    def reconstruct(
        self,
        update: SharedUpdate,
        architecture: ModelArchitecture,
        pixels: PixelPrior,
        tampering: ModelTampering,
        *,
        generator: torch.Generator,
    ) -> Reconstruction:
        """Subtract and divide.

        Raises:
            AttackFailedError: if the module's gradient is not shared, zero or not finite.
        """
        weight, bias = shared_layer(update, LAYER)
        if tampering.settings["activation"] == "relu":
            weight, bias = without_higher_bins(weight), without_higher_bins(bias)
        inputs = divided(weight, bias, smallest=self.smallest_bias, most=update.samples)
        return Reconstruction(images=as_batch(inputs, architecture.input_shape, pixels, samples=update.samples))


def without_higher_bins(values: Tensor) -> Tensor:
    """Every row minus the next one, ``(bins, ...)``: what only the images of its bin have added."""
    return torch.cat([values[:-1] - values[1:], values[-1:]])
