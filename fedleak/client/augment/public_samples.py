"""Public images in the batch."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field

from fedleak.client.augment.base import Augmentation, Batch, draw


class PublicSamples(Augmentation):
    """Train on public images beside the client's own, so that the gradient is a mean over more of them.

    A larger batch leaks less of each image (SoK on gradient leakage, section 5.1), here without more private data.
    """

    kind: Literal["public_samples"] = "public_samples"
    count: int = Field(ge=1)
    """Added to every update's images; the number of samples that the client reports remains that of its own."""

    def apply(self, batch: Batch, public: Batch, *, generator: np.random.Generator) -> Batch:
        """The client's own images first.

        Raises:
            ValueError: if there are no public images.
        """
        added = draw(public, self.count, generator)
        return Batch(torch.cat([batch.images, added.images]), torch.cat([batch.targets, added.targets]))
