"""Label counts calibrated on noise."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from fedleak.attacks.labels.calibration import Calibrated
from fedleak.threat import GlobalModel, ModelArchitecture, SharedUpdate


class CalibratedCounts(Calibrated):
    """Label counts, repeats included, from the bias gradient less the model's mean softmax on noise images.

    Needs nothing beyond level 0: the images are standard normal in normalised space (LLG* of Wainakh et al. 2021,
    arXiv 2105.09369). Exact while the softmax hardly depends on the image, as in an untrained network; a trained one,
    above all with batch normalisation, may take noise for one class: ``calibrated_counts_public`` is better there.
    """

    kind: Literal["calibrated_counts"] = "calibrated_counts"
    images: int = Field(default=128, ge=1)
    """Noise images, the same for every update."""
    seed: int = Field(default=0, ge=0)
    """Of the noise."""

    def infer(
        self, update: SharedUpdate, architecture: ModelArchitecture, model: GlobalModel, *, count: int
    ) -> torch.Tensor:
        """Sorted labels ``(count,)``."""
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.randn(self.images, *architecture.input_shape, generator=generator)
        return self.counted(update, architecture, model, noise, None, count)
