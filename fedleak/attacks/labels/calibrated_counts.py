"""Label counts calibrated on noise."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from fedleak import limits
from fedleak.attacks.labels.calibration import Calibrated
from fedleak.examples import InputShape
from fedleak.threat import GlobalModel, ModelArchitecture, SharedUpdate


class CalibratedCounts(Calibrated):
    """Label counts, repeats included, from the bias gradient and the model's mean softmax on noise images.

    Needs nothing beyond level 0: the images are standard normal in normalised space (LLG* of Wainakh et al. 2021,
    arXiv 2105.09369), here at all scales from one colour to single pixels, because deep networks respond differently to
    brightness and blobs than to fine-grained noise. Exact while the softmax hardly depends on the image, as in an
    untrained network. A trained network, especially with batch normalisation, may assign all noise to one class;
    ``calibrated_counts_public`` is better in that case.
    """

    kind: Literal["calibrated_counts"] = "calibrated_counts"
    images: int = Field(default=128, ge=1, le=limits.IMAGES)
    """Noise images, the same for every update."""
    seed: int = Field(default=0, ge=0, le=limits.SEED)
    """Random seed of the noise."""

    def infer(
        self, update: SharedUpdate, architecture: ModelArchitecture, model: GlobalModel, *, count: int
    ) -> torch.Tensor:
        """Sorted labels ``(count,)``."""
        generator = torch.Generator().manual_seed(self.seed)
        noise = noise_of_all_scales(self.images, architecture.input_shape, generator)
        return self.counted(update, architecture, model, noise, None, count)


def noise_of_all_scales(count: int, shape: InputShape, generator: torch.Generator) -> torch.Tensor:
    """Normal noise ``(count, C, H, W)`` of 1x1, 2x2, 4x4 ... pixels, enlarged bilinearly, and of full size, in turn."""
    channels, height, width = shape
    coarse = [2**i for i in range(math.ceil(math.log2(max(height, width))))]
    sizes = [(min(side, height), min(side, width)) for side in coarse] + [(height, width)]
    images = [
        F.interpolate(
            torch.randn(1, channels, *sizes[i % len(sizes)], generator=generator),
            size=(height, width),
            mode="bilinear",
            align_corners=False,
        )
        for i in range(count)
    ]
    return torch.cat(images)
