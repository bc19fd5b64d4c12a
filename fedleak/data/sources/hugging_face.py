"""Image data sets of the Hugging Face Hub, through Flower Datasets."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
from pydantic import Field

from fedleak import limits
from fedleak.data.sources.base import DatasetSplits, LabelledImages
from fedleak.data.sources.files import Channels
from fedleak.data.sources.resized import ResizedDataset, to_array
from fedleak.errors import InputError
from fedleak.examples import Normalisation

TEST_SPLITS = ("test", "validation", "valid", "val")
SEED = 0


class HuggingFace(ResizedDataset):
    """Any labelled image data set of the Hugging Face Hub, or a local folder that its library can read.

    Loaded by Flower Datasets, but partitioned by fedleak. The library runs no code that comes with a data set.
    """

    kind: Literal["hugging_face"] = "hugging_face"
    name: str = Field(min_length=1)
    """Name such as ``uoft-cs/cifar10``, or a folder."""
    subset: str | None = None
    """Configuration of the data set, if it has several."""
    revision: str | None = None
    """Commit of the data set on the Hub (default: the newest, which may change)."""
    train_split: str = "train"
    """Name of the training split."""
    test_split: str | None = None
    """Test split (default: the split named ``test`` or ``validation``, else a share of the training split)."""
    test_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Share of the training split used for testing if there is no test split."""
    image: str | None = None
    """Column of the images (default: the only image column)."""
    label: str | None = None
    """Column of the labels (default: the only column with class names)."""
    images: int | None = Field(default=None, ge=2, le=limits.IMAGES)
    """Maximum number of images of each split, drawn with a fixed seed (default: all)."""
    channels: Channels = 3
    """Images are converted to this number of channels: 1, grey; 3, colour."""

    def load(self) -> DatasetSplits:
        """Read both splits; normalisation is 0.5/0.5 per channel."""
        os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")  # read when the library is imported
        from flwr_datasets import FederatedDataset

        federated = FederatedDataset(
            dataset=self.name,
            subset=self.subset,
            revision=self.revision,
            preprocessor=self._resplit,
            partitioners={},
            shuffle=self.images is not None,
            seed=SEED,
        )
        try:
            train, test = federated.load_split("train"), federated.load_split("test")
        except (OSError, ValueError) as error:
            raise InputError("dataset.name", self.name, f"it cannot be read ({error})") from error
        label = self._column(train, "label", "ClassLabel")
        names = _class_names(train, label)
        half = (0.5,) * self.channels
        return DatasetSplits(
            self._read(train, label, names), self._read(test, label, names), names, Normalisation(half, half)
        )

    def _resplit(self, splits: Any) -> Any:
        """Convert a ``DatasetDict`` with any splits into one with ``train`` and ``test``."""
        for path, name in (("train_split", self.train_split), ("test_split", self.test_split)):
            if name is not None and name not in splits:
                raise InputError(f"dataset.{path}", name, f"the splits are {', '.join(splits)}")
        test = self.test_split or next((name for name in TEST_SPLITS if name in splits), None)
        train = splits[self.train_split]
        if test is None:
            return train.train_test_split(test_size=self.test_fraction, seed=SEED)
        return type(splits)(train=train, test=splits[test])

    def _column(self, split: Any, setting: Literal["image", "label"], of_type: str) -> str:
        """Name of a column, as given or found by its type."""
        given = self.image if setting == "image" else self.label
        fitting = [name for name, feature in split.features.items() if type(feature).__name__ == of_type]
        if given is None and len(fitting) == 1:
            return str(fitting[0])
        if given is None or given not in split.features:
            raise InputError(f"dataset.{setting}", given, f"name a column; the columns are {', '.join(split.features)}")
        return given

    def _read(self, split: Any, label: str, names: tuple[str, ...]) -> LabelledImages:
        some = split.select(range(min(len(split), self.images or len(split))))
        numbers = some[label] if _has_names(some, label) else [_place(names, value) for value in some[label]]
        labels = np.array(list(numbers), dtype=np.int64)
        if labels.min() < 0:
            raise InputError("dataset.label", label, "some images have no label (-1); choose another test_split")
        mode, column = "RGB" if self.channels == 3 else "L", self._column(some, "image", "Image")
        images = [to_array(self.fit(picture.convert(mode))) for picture in some[column]]
        shapes = {image.shape for image in images}
        if len(shapes) > 1:
            raise InputError("dataset.size", None, f"the images differ in size ({len(shapes)} sizes); give a size")
        return LabelledImages(np.stack(images), labels)


def _has_names(split: Any, label: str) -> bool:
    return hasattr(split.features[label], "names")


def _class_names(train: Any, label: str) -> tuple[str, ...]:
    """The class names of the column, or its distinct values, sorted."""
    if _has_names(train, label):
        return tuple(train.features[label].names)
    return tuple(str(value) for value in sorted(set(train[label])))


def _place(names: tuple[str, ...], value: object) -> int:
    """The label of a value; -1 if no training image has it."""
    return names.index(str(value)) if str(value) in names else -1
