"""Every data set that is there offline gives labelled uint8 images, the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fedleak.data.sources.base import Dataset, DatasetSplits
from fedleak.errors import InputError
from fedleak.families import kinds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures in two class folders."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(5):
            pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    return tmp_path


@pytest.fixture(params=list(kinds("dataset")))
def dataset(request: pytest.FixtureRequest, folder: Path) -> Dataset:
    """One kind that never downloads: where it reads a folder, that is ``folder``."""
    cls = kinds("dataset")[request.param]
    offline: dict[str, Any] = {"root": folder, "name": str(folder), "download": False}
    made = cls.model_validate({name: value for name, value in offline.items() if name in cls.model_fields})
    assert isinstance(made, Dataset)
    return made


@pytest.fixture
def splits(dataset: Dataset) -> DatasetSplits:
    try:
        return dataset.load()
    except InputError as error:
        pytest.skip(f"not here: {error}")


def test_images_are_bytes_of_one_shape_in_both_splits(splits: DatasetSplits) -> None:
    for split in (splits.train, splits.test):
        assert len(split) > 0
        assert split.images.dtype == np.uint8
        assert split.images.shape[1:] == splits.input_shape
    assert splits.input_shape[0] in (1, 3)


def test_labels_are_numbers_of_the_class_names(splits: DatasetSplits) -> None:
    for split in (splits.train, splits.test):
        assert split.labels.dtype == np.int64
        assert split.labels.min() >= 0
        assert split.labels.max() < len(splits.class_names)
    assert len(set(splits.class_names)) == len(splits.class_names) >= 2


def test_pixels_use_the_range_of_bytes(splits: DatasetSplits) -> None:
    """Not 0 to 1 or 0 to 16 by mistake."""
    assert splits.train.images.max() > 200
    assert splits.train.images.min() < 50


def test_normalisation_has_a_positive_deviation_for_each_channel(splits: DatasetSplits) -> None:
    assert len(splits.normalisation.mean) == len(splits.normalisation.std) == splits.input_shape[0]
    assert min(splits.normalisation.std) > 0


def test_loading_twice_gives_the_same(dataset: Dataset, splits: DatasetSplits) -> None:
    again = dataset.load()
    for first, second in ((splits.train, again.train), (splits.test, again.test)):
        np.testing.assert_array_equal(first.images, second.images)
        np.testing.assert_array_equal(first.labels, second.labels)
