"""Reader of LOKI's imprint modules."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak import limits
from fedleak.attacks.base import Attack, Reconstruction
from fedleak.attacks.malicious.imprint import LAYER, without_higher_bins
from fedleak.attacks.malicious.rows import largest, shared_tensor, with_means
from fedleak.threat import ModelArchitecture, ModelTampering, PixelPrior, SharedUpdate


class LokiReader(Attack):
    """Images of every client's own columns of a shared imprint module (Zhao et al. 2023, arXiv 2303.12233).

    In the sum of the updates, the columns of copy ``k`` hold the gradients of client ``k`` alone. A bin's gradient is a
    multiple of its image; the multiple is the one at which the image's mean brightness lies in the middle of the bin.
    Images are exact up to the width of their bin if no other image of the same client lies in it. Those with largest
    gradients come first; the mean of those found stands for missing ones.

    Fails as a client's images outnumber the bins, as local steps move the module's weights, and where clients refuse it
    (guard ``imprint``).
    """

    kind: Literal["loki"] = "loki"
    reads: ClassVar[str | None] = "loki"

    smallest: float = Field(default=1e-5, ge=0, le=limits.RATE)
    """Bins whose gradient is smaller than this share of the largest, over all clients, count as empty."""

    def reconstruct(
        self,
        update: SharedUpdate,
        architecture: ModelArchitecture,
        pixels: PixelPrior,
        tampering: ModelTampering,
        *,
        generator: torch.Generator,
    ) -> Reconstruction:
        """Subtract, and scale.

        Raises:
            AttackFailedError: if the module's gradient is not shared, zero or not finite.
        """
        weight = shared_tensor(update, f"{LAYER}.weight")
        size = torch.Size(architecture.input_shape).numel()
        bins = weight.reshape(len(weight), -1, size)[:, sorted(tampering.sent)]  # (bins, clients, size)
        if tampering.settings["activation"] == "relu":
            bins = without_higher_bins(bins)
        sent = next(iter(tampering.sent.values()))
        middles = bin_middles(sent[f"{LAYER}.weight"][:, :size].double().cpu(), sent[f"{LAYER}.bias"].double().cpu())
        means = bins.mean(dim=2)
        used = largest(means.flatten(), smallest=self.smallest, most=update.samples)
        scales = (means / middles[:, None]).flatten()[used]
        images = (bins.flatten(0, 1)[used] / scales[:, None]).clamp(pixels.low, pixels.high).float()
        images = with_means(images, samples=update.samples)
        return Reconstruction(images=images.reshape(-1, *architecture.input_shape))


def bin_middles(rows: Tensor, bias: Tensor) -> Tensor:
    """Mean brightness in the middle of every bin, ``(bins,)``.

    The lowest and the highest bin have no end of their own: they are taken to be as wide as their neighbours.

    Args:
        rows: weight of one copy's columns, ``(bins, D)``.
        bias: ``(bins,)``.
    """
    cuts = -bias / rows.sum(dim=1)
    if len(cuts) == 2:
        return cuts[1:].expand(2)
    middles = (cuts + torch.cat([cuts[1:], cuts[-1:]])) / 2
    middles[0] = cuts[1] - (cuts[2] - cuts[1]) / 2
    middles[-1] = cuts[-1] + (cuts[-1] - cuts[-2]) / 2
    return middles
