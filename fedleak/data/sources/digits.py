"""The handwritten digits bundled with scikit-learn; no download."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from fedleak.data.sources.base import DatasetSplits, LabelledImages
from fedleak.data.sources.resized import ResizedDataset


class Digits(ResizedDataset):
    """1,797 handwritten digits, 8x8 grey, bundled with scikit-learn (Alpaydin & Kaynak 1998)."""

    kind: Literal["digits"] = "digits"
    classes: int | None = Field(default=None, ge=2, le=10)
    """Use only the first ``classes`` digits (default: all ten)."""

    def load(self) -> DatasetSplits:
        """Load the images; every fifth one is in the test split."""
        from sklearn.datasets import load_digits

        raw = load_digits()
        images = np.rint(raw.images * (255 / 16)).astype(np.uint8)[:, None]
        everything = self.fit_all(LabelledImages(images, raw.target.astype(np.int64)))
        names = tuple(str(name) for name in raw.target_names)[: self.classes]
        everything = everything.take(np.flatnonzero(everything.labels < len(names)))
        index = np.arange(len(everything))
        return DatasetSplits(
            train=everything.take(index[index % 5 != 0]),
            test=everything.take(index[index % 5 == 0]),
            class_names=names,
            normalisation=self.normalisation(1),
        )
