from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from fedleak.data.sources.base import LabelledImages
from fedleak.data.sources.files import check_every_class, class_names, hold_out, labelled_files, read_files
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
    kept, held = hold_out(data, 0.3, ("a", "b"))
    assert kept.images.ravel().tolist() == [0, 1, 2, 3]
    assert held.images.ravel().tolist() == [4, 5]


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_of_two_images_one_is_held_out_whatever_the_share(share: float) -> None:
    data = LabelledImages(np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1), np.array([0, 1, 0, 1]))
    kept, held = hold_out(data, share, ("a", "b"))
    assert (kept.labels.tolist(), held.labels.tolist()) == ([0, 1], [0, 1])


def test_classes_too_small_to_hold_any_out_are_named() -> None:
    data = LabelledImages(np.zeros((4, 1, 1, 1), dtype=np.uint8), np.array([0, 1, 1, 2]))
    with pytest.raises(InputError, match=r"test_fraction.*only one image of 'ape', 'owl', so none.*ROOT/test/CLASS"):
        hold_out(data, 0.2, ("ape", "bat", "owl"))


def test_many_small_classes_are_counted() -> None:
    names = [f"class{i}" for i in range(12)]
    data = LabelledImages(np.zeros((12, 1, 1, 1), dtype=np.uint8), np.arange(12))
    with pytest.raises(InputError, match=r"'class4' and 7 others"):
        hold_out(data, 0.2, names)


def test_a_class_without_images_is_named(folder: Path) -> None:
    (folder / "empty").mkdir()
    files = labelled_files(folder, ("a", "b", "empty"))
    with pytest.raises(InputError, match=r"no images of 'empty' \(\.bmp"):
        check_every_class(files, ("a", "b", "empty"), folder=folder)


@pytest.mark.parametrize("name", ["line\nbreak", "escape\x1b[31m", "\udcff\udcfe", "null\x7f", " "])
def test_class_names_that_cannot_be_printed_or_stored_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "fine").mkdir()
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=r"dataset\.root.*rename the class") as caught:
        class_names(tmp_path)
    assert str(caught.value).isprintable()
    str(caught.value).encode("utf-8")


@pytest.mark.parametrize("name", ["größe", "犬", "a b", "n0144.x", "'quoted'"])
def test_other_class_names_are_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / "z").mkdir()
    (tmp_path / name).mkdir()
    assert name in class_names(tmp_path)


def test_the_file_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "a/1.PNG").write_bytes((folder / "a/1.PNG").read_bytes()[:40])
    with pytest.raises(InputError, match=r"dataset\.root.*1\.PNG.*not a readable image"):
        read_files(labelled_files(folder, ("a", "b")), folder=folder, channels=3, fit=lambda image: image)
