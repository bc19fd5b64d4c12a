from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedleak.data.sources.image_folder import ImageFolder
from fedleak.errors import InputError
from tests.data_folder import data_folder, needs_data
from tests.scenarios import command, write_scenario

CIFAR10 = "cifar10/test"
PHOTOGRAPHS = "imagenet_samples"


def save(path: Path, value: int, *, size: tuple[int, int] = (6, 5)) -> None:
    """A picture of one colour, ``value`` in red and its complement in blue; ``size`` is width, height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    pixels[..., 0], pixels[..., 2] = value, 255 - value
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, five images each, without splits."""
    for i in range(5):
        save(tmp_path / f"zebra/{i}.png", 10 + i)
        save(tmp_path / f"ape/{i}.png", 100 + i)
    (tmp_path / "zebra/notes.txt").write_text("no picture")
    return tmp_path


def test_classes_are_numbered_by_name_and_files_taken_in_order(folder: Path) -> None:
    splits = ImageFolder(root=folder, test_fraction=0.4).load()
    assert splits.class_names == ("ape", "zebra")
    assert splits.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert splits.train.images[:, 0, 0, 0].tolist() == [100, 101, 102, 10, 11, 12]


def test_the_last_share_of_every_class_is_for_testing(folder: Path) -> None:
    splits = ImageFolder(root=folder, test_fraction=0.4).load()
    assert splits.test.images[:, 0, 0, 0].tolist() == [103, 104, 13, 14]


def test_images_are_channels_first_height_before_width(folder: Path) -> None:
    splits = ImageFolder(root=folder).load()
    assert splits.input_shape == (3, 5, 6)
    assert splits.train.images[0, :, 0, 0].tolist() == [100, 0, 155]


@pytest.mark.parametrize("test_name", ["test", "val"])
def test_given_splits_are_used(tmp_path: Path, test_name: str) -> None:
    for name, value in (("train", 1), (test_name, 2)):
        save(tmp_path / name / "a/x.png", value)
        save(tmp_path / name / "b/x.png", value)
    splits = ImageFolder(root=tmp_path).load()
    assert set(splits.train.images[:, 0].ravel()) == {1}
    assert set(splits.test.images[:, 0].ravel()) == {2}


def test_grey_images_have_one_channel_and_one_normalisation(folder: Path) -> None:
    splits = ImageFolder(root=folder, channels=1).load()
    assert splits.input_shape[0] == 1
    assert splits.normalisation.mean == (0.5,)


def test_images_are_resized_to_squares(folder: Path) -> None:
    save(folder / "ape/big.png", 50, size=(9, 30))
    assert ImageFolder(root=folder, size=4).load().input_shape == (3, 4, 4)


def test_different_sizes_need_one_to_resize_to(folder: Path) -> None:
    save(folder / "ape/big.png", 50, size=(9, 30))
    with pytest.raises(InputError, match=r"dataset\.size.*5x6 and 30x9|30x9 and 5x6"):
        ImageFolder(root=folder).load()


def test_only_the_first_classes_and_images_are_read_where_asked(folder: Path) -> None:
    save(folder / "mole/0.png", 77)
    save(folder / "mole/1.png", 78)
    splits = ImageFolder(root=folder, classes=2, per_class=3, test_fraction=0.4).load()
    assert splits.class_names == ("ape", "mole")
    assert splits.train.images[:, 0, 0, 0].tolist() == [100, 101, 77]
    assert splits.test.images[:, 0, 0, 0].tolist() == [102, 78]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dataset\.root.*nowhere.*no such folder"):
        ImageFolder(root=tmp_path / "nowhere").load()


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    save(tmp_path / "only/x.png", 1)
    with pytest.raises(InputError, match="at least two class folders, found 1"):
        ImageFolder(root=tmp_path).load()


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="no images"):
        ImageFolder(root=tmp_path).load()


def test_a_damaged_image_is_named(folder: Path) -> None:
    (folder / "ape/bad.png").write_bytes(b"\x89PNG not really")
    with pytest.raises(InputError, match=r"bad\.png"):
        ImageFolder(root=folder).load()


def test_a_class_of_one_image_is_refused_by_name(folder: Path) -> None:
    save(folder / "mole/0.png", 77)
    with pytest.raises(InputError, match=r"only one image of 'mole', so none can be held out"):
        ImageFolder(root=folder).load()


def test_one_image_is_enough_where_there_is_a_test_folder(tmp_path: Path) -> None:
    for split in ("train", "test"):
        save(tmp_path / split / "a/x.png", 1)
        save(tmp_path / split / "b/x.png", 2)
    assert len(ImageFolder(root=tmp_path).load().train) == 2


def test_a_class_folder_without_images_is_refused_by_name(folder: Path) -> None:
    (folder / "mole").mkdir()
    (folder / "mole/0.heic").write_bytes(b"x")
    with pytest.raises(InputError, match=r"no images of 'mole'.*remove the class folder"):
        ImageFolder(root=folder).load()


@pytest.mark.parametrize("damage", ["image", "name"])
def test_what_cannot_be_used_ends_the_command_before_anything_is_run(
    folder: Path, damage: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    if damage == "image":
        (folder / "zebra/3.png").write_bytes((folder / "zebra/3.png").read_bytes()[:30])
    else:
        (folder / "zebra").rename(folder / "z\udcffbra")
    own = tmp_path_factory.mktemp("own")
    path = write_scenario(own, dataset={"kind": "image_folder", "root": str(folder)})
    outcome = command(capsys, "federate", path, "--out", own / "run")
    assert (outcome.code, len(outcome.errors)) == (2, 1)
    assert outcome.errors[0].startswith("dataset.root: got ")
    assert ("3.png" if damage == "image" else r"z\udcffbra") in outcome.errors[0]
    assert not (own / "run").exists()


@needs_data(CIFAR10)
def test_cifar10_in_a_folder_loads() -> None:
    splits = ImageFolder(root=data_folder(CIFAR10)).load()
    assert splits.input_shape == (3, 32, 32)
    assert (len(splits.class_names), len(splits.train), len(splits.test)) == (10, 3200, 800)


@needs_data(PHOTOGRAPHS)
def test_folders_of_imagenet_are_cropped_and_resized(tmp_path: Path) -> None:
    for split in ("train", "test"):  # one image per class: none could be held out
        (tmp_path / split).symlink_to(data_folder(PHOTOGRAPHS).resolve())
    splits = ImageFolder(root=tmp_path, classes=4, size=64, crop=0.875).load()
    assert splits.input_shape == (3, 64, 64)
    assert splits.class_names[0] == "n01440764"
