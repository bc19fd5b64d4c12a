"""Image data sets of the Hugging Face Hub, through Flower Datasets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fedleak import limits
from fedleak.data.sources.base import DatasetSplits, Images, LabelledImages
from fedleak.data.sources.files import check_class_name
from fedleak.data.sources.pixels import Channels, bounded_memory, read_picture
from fedleak.data.sources.resized import ResizedDataset, to_array
from fedleak.errors import InputError, listed

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
    """Configuration of the data set, if it has several (default: the one that it has by default)."""
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

    def folder(self) -> Path | None:
        """The folder of that name, if the data set is one on this machine."""
        path = Path(self.name).expanduser()
        return path.absolute() if path.is_dir() else None

    def load(self) -> DatasetSplits:
        """Read both splits; normalisation is 0.5/0.5 per channel by default."""
        os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")  # read when the library is imported
        from datasets.exceptions import DatasetsError
        from flwr_datasets import FederatedDataset
        from flwr_datasets.common import telemetry

        # Even where telemetry is off, an identity of the user would be written to the home folder; now there is none.
        telemetry.state["source"] = telemetry.state["source"] or "unavailable"
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
        except (OSError, ValueError, TypeError, LookupError, NotImplementedError, DatasetsError) as error:
            raise InputError("dataset.name", self.name, f"it cannot be read ({error})") from error
        label = self._column(train, "label", "ClassLabel")
        names = _class_names(train, label)
        return DatasetSplits(
            self._read(train, label, names), self._read(test, label, names), names, self.normalisation(self.channels)
        )

    def _resplit(self, splits: Any) -> Any:
        """Convert a ``DatasetDict`` with any splits into one with ``train`` and ``test``."""
        for path, name in (("train_split", self.train_split), ("test_split", self.test_split)):
            if name is not None and name not in splits:
                raise InputError(f"dataset.{path}", name, f"the splits are {', '.join(splits)}")
        test = self.test_split or next((name for name in TEST_SPLITS if name in splits), None)
        train = splits[self.train_split]
        if test is None:
            return self._held_out(train)
        return type(splits)(train=train, test=splits[test])

    def _held_out(self, train: Any) -> Any:
        """A random share for testing that leaves an image of every class to train on."""
        divided = train.train_test_split(test_size=self.test_fraction, seed=SEED)
        label = self._column(train, "label", "ClassLabel")
        lost = set(divided["test"][label]) - set(divided["train"][label]) - {None}
        if lost:
            classes = train.features[label].names if _has_names(train, label) else None
            names = sorted(str(classes[value] if classes else value) for value in lost)
            wanted = (
                f"the random test split takes every image of {listed(names)}: add images of them, or name a test_split"
            )
            raise InputError("dataset.test_fraction", self.test_fraction, wanted)
        return divided

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
        labels = _labels(some, label, names)
        column = self._column(some, "image", "Image")
        with bounded_memory():
            images = [self._decode(row, f"{self.name}: {column} {i}") for i, row in enumerate(_files(some, column))]
        shapes = {image.shape for image in images}
        if len(shapes) > 1:
            raise InputError("dataset.size", None, f"the images differ in size ({len(shapes)} sizes); give a size")
        return LabelledImages(np.stack(images), labels)

    def _decode(self, row: dict[str, Any] | None, place: str) -> Images:
        if row is None or (row["bytes"] is None and row["path"] is None):
            raise InputError("dataset.image", place, "there is no image in this row")
        source = Path(row["path"]) if row["bytes"] is None else BytesIO(row["bytes"])
        name = f"{place} ({row['path']})" if row["path"] else place
        return to_array(self.fit(read_picture(source, channels=self.channels, setting="dataset.image", name=name)))


def _files(split: Any, column: str) -> Iterable[dict[str, Any] | None]:
    """Undecoded images: ``bytes``, or the ``path`` of a file.

    Raises:
        InputError: if the column holds something else.
    """
    from datasets import Image

    feature = split.features[column]
    if not isinstance(feature, Image):
        raise InputError("dataset.image", column, f"the column holds {feature}, not images; cast it to datasets.Image")
    rows: Iterable[dict[str, Any] | None] = split.cast_column(column, Image(decode=False))[column]
    return rows


def _labels(split: Any, label: str, names: tuple[str, ...]) -> NDArray[np.int64]:
    if len(split) == 0:
        raise InputError("dataset.name", label, "a split has no rows; choose another train_split or test_split")
    numbers = split[label] if _has_names(split, label) else [_place(names, value) for value in split[label]]
    labels = np.array([-1 if number is None else number for number in numbers], dtype=np.int64)
    if labels.min() < 0 or labels.max() >= len(names):
        raise InputError("dataset.label", label, "some images have no known label; choose another test_split")
    return labels


def _has_names(split: Any, label: str) -> bool:
    return hasattr(split.features[label], "names")


def _class_names(train: Any, label: str) -> tuple[str, ...]:
    """The class names of the column, or its distinct values, sorted."""
    values = train.features[label].names if _has_names(train, label) else sorted(set(train[label]) - {None})
    names = tuple(str(value) for value in values)
    for name in names:
        check_class_name(name, setting="dataset.label")
    return names


def _place(names: tuple[str, ...], value: object) -> int:
    """The label of a value; -1 if no training image has it."""
    return names.index(str(value)) if str(value) in names else -1
