"""Any folder of images, one sub-folder per class."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field

from fedleak.datasets.base import Dataset, DatasetSplits, Images, LabelledImages, Normalisation
from fedleak.errors import InputError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".gif", ".tif", ".tiff"})


class ImageFolder(Dataset):
    """A folder of images: ROOT/train/CLASS/*.jpg and ROOT/test/CLASS/* (or val), or ROOT/CLASS/* alone."""

    kind: Literal["image_folder"] = "image_folder"
    root: Path
    """The folder; ``~`` is expanded, a relative path starts at the working directory."""
    size: int | None = Field(default=None, ge=4, le=1024)
    """Resize to this height and width; by default all images must already agree."""
    channels: Literal[1, 3] = 3
    test_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Share of every class kept as the test split where the folder has no ``test`` or ``val``."""

    def load(self) -> DatasetSplits:
        """Read every image; files are taken in the order of their names."""
        root = self.root.expanduser()
        if not root.is_dir():
            raise InputError("dataset.root", str(root), "there is no such folder")
        train_folder = root / "train" if (root / "train").is_dir() else root
        test_folder = next((root / name for name in ("test", "val") if (root / name).is_dir()), None)
        names = _class_names(train_folder)
        train = self._read(train_folder, names)
        if test_folder is not None and train_folder != root:
            test = self._read(test_folder, names)
        else:
            train, test = _split(train, self.test_fraction)
        half = (0.5,) * self.channels
        return DatasetSplits(train, test, names, Normalisation(half, half))

    def _read(self, folder: Path, names: tuple[str, ...]) -> LabelledImages:
        files = [
            (path, label)
            for label, name in enumerate(names)
            for path in sorted((folder / name).glob("*"))
            if path.suffix.lower() in SUFFIXES
        ]
        if not files:
            raise InputError("dataset.root", str(folder), "it holds no images below its class folders")
        with ThreadPoolExecutor() as pool:
            images = list(pool.map(self._decode, (path for path, _ in files)))
        shapes = {image.shape for image in images}
        if len(shapes) > 1:
            raise InputError(
                "dataset.size",
                None,
                f"the images differ in size ({len(shapes)} sizes); give one to resize to",
            )
        return LabelledImages(np.stack(images), np.array([label for _, label in files], dtype=np.int64))

    def _decode(self, path: Path) -> Images:
        try:
            with Image.open(path) as file:
                image = file.convert("RGB" if self.channels == 3 else "L")
        except OSError as error:
            raise InputError("dataset.root", str(path), f"not a readable image ({error})") from error
        if self.size is not None:
            image = image.resize((self.size, self.size), Image.Resampling.BICUBIC)
        array = np.asarray(image, dtype=np.uint8)
        return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))
    if len(names) < 2:
        raise InputError("dataset.root", str(folder), f"it needs at least two class folders, found {len(names)}")
    return names


def _split(data: LabelledImages, test_fraction: float) -> tuple[LabelledImages, LabelledImages]:
    """Keep the last ``test_fraction`` of every class for testing."""
    is_test = np.zeros(len(data), dtype=bool)
    for label in np.unique(data.labels):
        members = np.flatnonzero(data.labels == label)
        is_test[members[len(members) - max(1, round(test_fraction * len(members))) :]] = True
    return data.take(np.flatnonzero(~is_test)), data.take(np.flatnonzero(is_test))
