"""Reader of trap weights."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak import limits
from fedleak.attacks.base import Attack, Reconstruction
from fedleak.attacks.malicious.rows import as_batch, divided, shared_layer
from fedleak.errors import AttackFailedError
from fedleak.examples import LARGEST
from fedleak.models.front import first_relu_layer
from fedleak.threat import ModelArchitecture, ModelTampering, PixelPrior, SharedUpdate

GRID = 0.1
"""Mean distance from 8-bit values, in steps, below which an image was not mixed."""


class TrapWeightReader(Attack):
    """Images of trap neurons, ``dL/dW_i / dL/db_i`` (Boenisch et al. 2021, arXiv 2112.02918, section 4).

    A neuron that one image of the batch activates gives this image exactly; one that several activate gives a mixture.
    Ours is how images are told from mixtures: quotients beyond the range of pixels are left out; of the others, those
    whose pixels are multiples of 1/255 come first, then those that several neurons give alike, then those with the
    largest bias gradients. As many as the client's images are returned; the mean of those found stands for missing
    ones.

    Fails where several images activate every neuron, as in large batches on few neurons, and where clients refuse
    such rows (guard ``trap_weights``).
    """

    kind: Literal["trap_weights"] = "trap_weights"
    reads: ClassVar[str | None] = "trap_weights"

    smallest_bias: float = Field(default=1e-6, ge=0, le=limits.RATE)
    """Neurons whose bias gradient is smaller than this share of the largest count as not activated."""
    tolerance: float = Field(default=1e-3, gt=0, le=1)
    """Largest root mean squared difference of two equal images, and how far a pixel may lie out of range."""

    def reconstruct(
        self,
        update: SharedUpdate,
        architecture: ModelArchitecture,
        pixels: PixelPrior,
        tampering: ModelTampering,
        *,
        generator: torch.Generator,
    ) -> Reconstruction:
        """Divide, and choose.

        Raises:
            AttackFailedError: if the first layer is not a linear one with ReLU, or its gradient is not shared or zero.
        """
        try:
            name = first_relu_layer(architecture.build(seed=0))
        except ValueError as error:
            raise AttackFailedError(str(error)) from error
        inputs = divided(*shared_layer(update, name), smallest=self.smallest_bias, most=None)
        images = pixels.normalisation.undo(inputs.reshape(-1, *architecture.input_shape)).flatten(1)
        low, high = pixels.low - self.tolerance, pixels.high + self.tolerance
        valid = ((images >= low) & (images <= high)).all(dim=1)
        chosen = repeated_first(images[valid] if valid.any() else images, self.tolerance)[: update.samples]
        inputs = inputs[valid][chosen] if valid.any() else inputs[chosen]
        return Reconstruction(images=as_batch(inputs, architecture.input_shape, pixels, samples=update.samples))


def off_grid(images: Tensor) -> Tensor:
    """Mean distance of pixels of images ``(R, D)`` from whole steps of 1/255, in steps; 0.25 if they are unrelated."""
    return (LARGEST * images - (LARGEST * images).round()).abs().mean(dim=1)


def repeated_first(images: Tensor, tolerance: float) -> Tensor:
    """Indices of distinct images ``(R, D)``: those of 8 bits first, then those with most copies, then in their order.

    Args:
        tolerance: largest root mean squared difference of copies.
    """
    distances = torch.cdist(images, images, compute_mode="donot_use_mm_for_euclid_dist") / images.shape[1] ** 0.5
    same = distances <= tolerance
    copies = same.sum(dim=1)
    first = same.float().argmax(dim=1) == torch.arange(len(images))
    kept = first.nonzero().flatten()
    written = off_grid(images[kept]) < GRID
    ranked: Tensor = kept[(copies[kept] + len(images) * written).argsort(descending=True, stable=True)]
    return ranked
