from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fedleak.data.sources.tiny_imagenet import ANNOTATIONS, TinyImageNet
from fedleak.errors import InputError
from tests.data_folder import data_folder, needs_data

TINY_IMAGENET = "tinyimagenet100"
WNIDS = ("n01443537", "n01629819", "n01641577")


def save(path: Path, value: int, *, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (64, 64), value if mode == "L" else (value, value, value)).save(path)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """The layout of the archive: three classes of two images, and four to validate, one of them grey."""
    for i, wnid in enumerate(WNIDS):
        for j in range(2):
            save(tmp_path / f"train/{wnid}/images/{wnid}_{j}.JPEG", 10 * i + j)
        (tmp_path / f"train/{wnid}/{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t10\t63\t58\n")
    for i, mode in enumerate(("RGB", "L", "RGB", "RGB")):
        save(tmp_path / f"val/images/val_{i}.JPEG", 100 + 10 * i, mode=mode)
    lines = [f"val_{i}.JPEG\t{WNIDS[i % 3]}\t0\t32\t44\t62" for i in range(4)]
    (tmp_path / "val" / ANNOTATIONS).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_classes_to_validate_come_from_the_annotations(original: Path) -> None:
    splits = TinyImageNet(root=original).load()
    assert splits.class_names == WNIDS
    assert splits.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert splits.test.labels.tolist() == [0, 0, 1, 2]
    assert splits.test.images[:, 0, 0, 0].tolist() == [100, 130, 110, 120]


def test_only_some_classes_and_images(original: Path) -> None:
    splits = TinyImageNet(root=original, classes=2, per_class=1, size=32).load()
    assert splits.input_shape == (3, 32, 32)
    assert splits.train.labels.tolist() == splits.test.labels.tolist() == [0, 1]


def test_annotations_cannot_name_a_file_elsewhere(original: Path) -> None:
    (original / "val" / ANNOTATIONS).write_text(f"../../secret.png\t{WNIDS[0]}\t0\t0\t1\t1\n")
    with pytest.raises(InputError, match=r"line 1.*plain file name"):
        TinyImageNet(root=original).load()


def test_annotations_must_be_text(original: Path) -> None:
    (original / "val" / ANNOTATIONS).write_bytes(b"val_0.JPEG\t\xff\xfe")
    with pytest.raises(InputError, match=r"val_annotations\.txt.*cannot be read as text"):
        TinyImageNet(root=original).load()


def test_a_class_without_training_images_is_named(original: Path) -> None:
    for path in (original / "train" / WNIDS[1] / "images").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=rf"no images of '{WNIDS[1]}'"):
        TinyImageNet(root=original).load()


def test_a_missing_split_is_named(original: Path) -> None:
    (original / "val").rename(original / "elsewhere")
    with pytest.raises(InputError, match=r"val.*no such folder"):
        TinyImageNet(root=original).load()


@needs_data(TINY_IMAGENET)
def test_the_layout_of_class_folders_loads_too() -> None:
    splits = TinyImageNet(root=data_folder(TINY_IMAGENET), classes=10, per_class=12).load()
    assert splits.input_shape == (3, 64, 64)
    assert (len(splits.train), len(splits.test)) == (120, 120)
