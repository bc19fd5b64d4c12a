"""Label counts calibrated on public images."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak import limits
from fedleak.attacks.labels.calibration import Calibrated
from fedleak.examples import to_unit
from fedleak.threat import GlobalModel, ModelArchitecture, PixelPrior, PublicData, SharedUpdate


class CalibratedCountsPublic(Calibrated):
    """Label counts, repeats included, calibrated class by class on the adversary's own images (LLG+).

    The softmax of a trained model depends on the class: the expected softmax is measured for each class separately and
    the counts solve a linear system (after Wainakh et al. 2021, arXiv 2105.09369, and Ma et al. 2023, ICLR). Classes
    without public images use the mean over all images.
    """

    kind: Literal["calibrated_counts_public"] = "calibrated_counts_public"
    images_per_class: int = Field(default=32, ge=1, le=limits.IMAGES)
    """Public images of each class, whose gradients calibrate the counts."""

    def infer(
        self,
        update: SharedUpdate,
        architecture: ModelArchitecture,
        model: GlobalModel,
        pixels: PixelPrior,
        public: PublicData,
        *,
        count: int,
    ) -> Tensor:
        """Sorted labels ``(count,)``."""
        chosen = first_of_each(public.labels, self.images_per_class)
        images = pixels.normalisation.apply(to_unit(public.images[chosen]))
        return self.counted(update, architecture, model, images, public.labels[chosen], count)


def first_of_each(labels: Tensor, limit: int) -> Tensor:
    """Sorted indices of the first ``limit`` images of every class among ``labels`` ``(N,)``."""
    places = [torch.nonzero(labels == label).flatten()[:limit] for label in sorted(set(labels.tolist()))]
    return torch.cat(places).sort().values
