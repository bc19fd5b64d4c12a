"""The handwritten digits that come with scikit-learn: no download."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fedleak.datasets.base import DatasetSplits, LabelledImages, Normalisation
from fedleak.datasets.resized import ResizedDataset


class Digits(ResizedDataset):
    """1,797 handwritten digits, 8x8 grey, bundled with scikit-learn (Alpaydin & Kaynak 1998)."""

    kind: Literal["digits"] = "digits"

    def load(self) -> DatasetSplits:
        """Every fifth image is the test split."""
        from sklearn.datasets import load_digits

        raw = load_digits()
        images = np.rint(raw.images * (255 / 16)).astype(np.uint8)[:, None]
        everything = self.fit_all(LabelledImages(images, raw.target.astype(np.int64)))
        index = np.arange(len(images))
        return DatasetSplits(
            train=everything.take(index[index % 5 != 0]),
            test=everything.take(index[index % 5 == 0]),
            class_names=tuple(str(name) for name in raw.target_names),
            normalisation=Normalisation((0.5,), (0.5,)),
        )
