from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from fedleak.data.sources.base import LabelledImages
from fedleak.data.sources.files import hold_out, labelled_files, read_files
from fedleak.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, value in (("a", 10), ("b", 200)):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("RGB", (6, 4), (value + i, 0, 0)).save(tmp_path / name / f"{i}.PNG")
    return tmp_path


def test_files_come_class_by_class_in_the_order_of_their_names(folder: Path) -> None:
    files = labelled_files(folder, ("b", "a"), limit=2)
    assert [(path.relative_to(folder).as_posix(), label) for path, label in files] == [
        ("b/0.PNG", 0),
        ("b/1.PNG", 0),
        ("a/0.PNG", 1),
        ("a/1.PNG", 1),
    ]


def test_images_keep_their_order_through_the_threads(folder: Path) -> None:
    data = read_files(labelled_files(folder, ("a", "b")), folder=folder, channels=3, fit=lambda image: image)
    assert data.images[:, 0, 0, 0].tolist() == [10, 11, 12, 200, 201, 202]
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_what_memory_cannot_hold_is_refused_before_it_is_read(folder: Path) -> None:
    one = Image.new("L", (1024, 1024))
    many = labelled_files(folder, ("a",)) * (1 + psutil.virtual_memory().total // (3 * one.width * one.height))
    with pytest.raises(InputError, match=r"1024x1024 take .* GiB; limit dataset\.classes"):
        read_files(many, folder=folder, channels=1, fit=lambda _: one)


def test_the_last_of_every_class_are_held_out() -> None:
    data = LabelledImages(np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1), np.array([0, 1, 0, 1, 0, 1]))
    kept, held = hold_out(data, 0.3)
    assert kept.images.ravel().tolist() == [0, 1, 2, 3]
    assert held.images.ravel().tolist() == [4, 5]
