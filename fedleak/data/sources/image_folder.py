"""A folder of images with one sub-folder per class."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from fedleak import limits
from fedleak.data.sources.base import DatasetSplits, LabelledImages
from fedleak.data.sources.files import (
    LabelledFile,
    check_every_class,
    class_names,
    existing_folder,
    hold_out,
    labelled_files,
    read_files,
)
from fedleak.data.sources.pixels import Channels
from fedleak.data.sources.resized import ResizedDataset


class ImageFolder(ResizedDataset):
    """A folder of images: ROOT/train/CLASS/*.jpg and ROOT/test/CLASS/* (or val), or ROOT/CLASS/* alone.

    For ImageNet use ``size: 224, crop: 0.875, classes: 100, per_class: 200``.
    """

    kind: Literal["image_folder"] = "image_folder"
    root: Path
    """The folder; ``~`` is expanded, and a relative path starts at the working directory."""
    channels: Channels = 3
    """Images are converted to this number of channels: 1, grey; 3, colour."""
    classes: int | None = Field(default=None, ge=2, le=limits.CLASSES)
    """Use only the first ``classes`` classes, sorted by name (default: all)."""
    per_class: int | None = Field(default=None, ge=1, le=limits.IMAGES)
    """Use only the first ``per_class`` images of each class in each split (default: all)."""
    test_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Share of every class used as the test split if the folder has no ``test`` or ``val``."""

    def load(self) -> DatasetSplits:
        """Read every image; files are sorted by name."""
        root = existing_folder(self.root)
        train_folder = root / "train" if (root / "train").is_dir() else root
        test_folder = next((root / name for name in ("test", "val") if (root / name).is_dir()), None)
        names = class_names(train_folder, limit=self.classes)
        files = labelled_files(train_folder, names, limit=self.per_class)
        check_every_class(files, names, folder=train_folder)
        train = self._read(files, train_folder)
        if test_folder is None or train_folder == root:
            train, test = hold_out(train, self.test_fraction, names)
        else:
            test = self._read(labelled_files(test_folder, names, limit=self.per_class), test_folder)
        return DatasetSplits(train, test, names, self.normalisation(self.channels))

    def _read(self, files: list[LabelledFile], folder: Path) -> LabelledImages:
        return read_files(files, folder=folder, channels=self.channels, fit=self.fit)
