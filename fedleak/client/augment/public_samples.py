"""Public images added to the batch."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field

from fedleak import limits
from fedleak.client.augment.base import Augmentation, Batch, draw


class PublicSamples(Augmentation):
    """Train on public images in addition to the client's own, so that the gradient is a mean over more images.

    A larger batch leaks less about each image (SoK on gradient leakage, section 5.1); this needs no more private data.
    """

    kind: Literal["public_samples"] = "public_samples"
    count: int = Field(ge=1, le=limits.IMAGES)
    """Public images added for every update; the client still reports only the number of its own images."""

    def apply(self, batch: Batch, public: Batch, *, generator: np.random.Generator) -> Batch:
        """Append public images to the client's own.

        Raises:
            ValueError: if there are no public images.
        """
        added = draw(public, self.count, generator)
        return Batch(torch.cat([batch.images, added.images]), torch.cat([batch.targets, added.targets]))
