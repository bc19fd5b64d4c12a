"""The FER2013 data set, as a folder of images or as CSV files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from fedleak.data.sources.base import DatasetSplits, LabelledImages
from fedleak.data.sources.files import check_every_class, existing_folder, labelled_files, read_files
from fedleak.data.sources.resized import ResizedDataset
from fedleak.errors import InputError

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Class names in the order of FER2013's labels 0 to 6."""


class Fer2013(ResizedDataset):
    """FER2013, 28,709 + 7,178 grey faces of 48x48 showing seven emotions (Goodfellow et al. 2013, arXiv 1307.0414).

    Either ROOT/train/EMOTION/* and ROOT/test/EMOTION/*, or the competition's CSV in ROOT/fer2013, which torchvision
    reads after checking its MD5 sum.
    """

    kind: Literal["fer2013"] = "fer2013"
    root: Path
    """The folder; ``~`` is expanded."""

    def load(self) -> DatasetSplits:
        """Read both splits; labels are the competition's: angry, disgust, fear, happy, sad, surprise, neutral."""
        root = existing_folder(self.root)
        from_csv = any((root / "fer2013").glob("*.csv"))
        train, test = (
            self._from_csv(root, name) if from_csv else self._from_folder(root, name) for name in ("train", "test")
        )
        return DatasetSplits(train, test, EMOTIONS, self.normalisation(1))

    def _from_folder(self, root: Path, split: str) -> LabelledImages:
        files = labelled_files(root / split, EMOTIONS)
        if split == "train":
            check_every_class(files, EMOTIONS, folder=root / split)
        return read_files(files, folder=root / split, channels=1, fit=self.fit)

    def _from_csv(self, root: Path, split: str) -> LabelledImages:
        samples = _torchvision_samples(root, split)
        if any(label is None for _, label in samples):
            raise InputError("dataset.root", str(root), "test.csv has no labels; fer2013.csv or icml_face_data.csv has")
        images = np.stack([pixels.numpy() for pixels, _ in samples])[:, None]
        return self.fit_all(LabelledImages(images, np.array([label for _, label in samples], dtype=np.int64)))


def _torchvision_samples(root: Path, split: str) -> list[tuple[Any, int | None]]:
    """Pairs of pixels ``(48, 48)`` and label, read by torchvision."""
    from torchvision.datasets import FER2013

    try:
        samples: list[tuple[Any, int | None]] = FER2013(str(root), split=split)._samples
    except (OSError, RuntimeError) as error:
        raise InputError("dataset.root", str(root), f"FER2013's csv cannot be read ({error})") from error
    return samples
