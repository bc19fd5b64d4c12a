from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset
from datasets import Image as ImageColumn
from PIL import Image

from fedleak.data.sources.hugging_face import HuggingFace
from fedleak.errors import InputError


def save(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (value, 0, 255 - value)).save(path)


@pytest.fixture(autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, for the library keeps what it has read; and no look at the Hub."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes in a layout of the library's: four images to train on, two to validate."""
    for label, name in enumerate(("cat", "dog")):
        for i in range(2):
            save(tmp_path / f"train/{name}/{i}.png", 100 * label + i)
        save(tmp_path / f"validation/{name}/9.png", 100 * label + 50)
    return tmp_path


def test_splits_columns_and_names_are_found(folder: Path) -> None:
    splits = HuggingFace(name=str(folder)).load()
    assert splits.class_names == ("cat", "dog")
    assert splits.input_shape == (3, 6, 8)
    pairs = sorted(zip(splits.train.images[:, 0, 0, 0].tolist(), splits.train.labels.tolist(), strict=True))
    assert pairs == [(0, 0), (1, 0), (100, 1), (101, 1)]
    assert sorted(splits.test.images[:, 0, 0, 0].tolist()) == [50, 150]


def test_a_share_is_held_out_where_there_is_no_test_split(folder: Path) -> None:
    (folder / "validation").rename(folder.parent / "unused")
    first, again = (HuggingFace(name=str(folder), test_fraction=0.25).load() for _ in range(2))
    assert (len(first.train), len(first.test)) == (3, 1)
    np.testing.assert_array_equal(first.train.images, again.train.images)


def test_a_few_grey_images_of_another_size(folder: Path) -> None:
    splits = HuggingFace(name=str(folder), images=2, channels=1, size=4).load()
    assert splits.train.images.shape == (2, 1, 4, 4)


def test_labels_may_be_a_column_of_words(tmp_path: Path) -> None:
    rows = []
    for i, word in enumerate(("owl", "bat", "owl", "bat", "owl", "bat")):
        save(tmp_path / f"{i}.png", i)
        rows.append({"file_name": f"{i}.png", "animal": word})
    (tmp_path / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    with pytest.raises(InputError, match=r"dataset\.label.*animal"):
        HuggingFace(name=str(tmp_path)).load()
    splits = HuggingFace(name=str(tmp_path), label="animal", test_fraction=0.5).load()
    assert splits.class_names == ("bat", "owl")
    assert [int(image[0, 0, 0]) % 2 for image in splits.train.images] == [1 - label for label in splits.train.labels]


@pytest.mark.parametrize("setting", ["train_split", "test_split"])
def test_an_unknown_split_is_named(folder: Path, setting: str) -> None:
    with pytest.raises(InputError, match=rf"dataset\.{setting}.*nowhere.*train, validation"):
        HuggingFace.model_validate({"name": str(folder), setting: "nowhere"}).load()


def test_an_unknown_data_set_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dataset\.name"):
        HuggingFace(name=str(tmp_path / "nothing")).load()


def test_sixteen_bits_are_scaled_by_their_range(folder: Path) -> None:
    for name, value in (("cat", 65535), ("dog", 257)):
        Image.fromarray(np.full((6, 8), value, dtype=np.uint16)).save(folder / f"train/{name}/0.png")
    splits = HuggingFace(name=str(folder)).load()
    assert {0, 1, 255} <= set(splits.train.images[:, 1].ravel().tolist())
    assert set(splits.train.images[:, 0, 0, 0].tolist()) == {1, 101, 255}


def parquet(folder: Path, **columns: Any) -> str:
    """A data set of six rows, as a Parquet file."""
    rows = {"label": [0, 1] * 3} | columns
    data = Dataset.from_dict(rows).cast_column("label", ClassLabel(names=["owl", "bat"]))
    folder.mkdir(exist_ok=True)
    data.to_parquet(folder / "train.parquet")
    return str(folder)


def encoded(value: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("L", (4, 4), value).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": f"{value}.png"}


@pytest.mark.parametrize(
    ("third", "reason"),
    [
        ({"bytes": b"no image", "path": "third.png"}, r"image 2 \(third\.png\).*not a readable image"),
        ({"bytes": encoded(0)["bytes"][:40], "path": "cut.png"}, r"\(cut\.png\).*not a readable image"),
        (None, "there is no image in this row"),
    ],
)
def test_a_damaged_image_is_named(tmp_path: Path, third: dict[str, Any] | None, reason: str) -> None:
    images = [encoded(i) for i in range(6)]
    data = Dataset.from_dict({"image": [*images[:2], third, *images[3:]], "label": [0, 1] * 3})
    data = data.cast_column("image", ImageColumn()).cast_column("label", ClassLabel(names=["owl", "bat"]))
    for split in ("train", "test"):
        data.to_parquet(tmp_path / f"{split}.parquet")
    with pytest.raises(InputError, match=reason) as caught:
        HuggingFace(name=str(tmp_path)).load()
    assert caught.value.path == "dataset.image"


def test_a_column_of_arrays_is_refused(tmp_path: Path) -> None:
    name = parquet(tmp_path / "arrays", pixels=[[[0.5, 300.0], [1.0, 2.0]]] * 6)
    with pytest.raises(InputError, match=r"dataset\.image.*pixels.*not images"):
        HuggingFace(name=name, image="pixels").load()


def test_class_names_that_cannot_be_printed_are_refused(tmp_path: Path) -> None:
    data = Dataset.from_dict({"image": [encoded(i) for i in range(6)], "label": [0, 1] * 3})
    data = data.cast_column("image", ImageColumn()).cast_column("label", ClassLabel(names=["owl", "b\nat"]))
    data.to_parquet(tmp_path / "train.parquet")
    with pytest.raises(InputError, match=r"dataset\.label.*rename the class"):
        HuggingFace(name=str(tmp_path)).load()


def test_a_class_that_the_random_test_split_takes_whole_is_named(tmp_path: Path) -> None:
    """One image of each of six classes: some class loses its only image."""
    data = Dataset.from_dict({"image": [encoded(i) for i in range(6)], "label": list(range(6))})
    data = data.cast_column("image", ImageColumn()).cast_column("label", ClassLabel(names=list("uvwxyz")))
    data.to_parquet(tmp_path / "train.parquet")
    with pytest.raises(InputError, match=r"test_fraction.*takes every image of '[u-z]', '[u-z]': add images"):
        HuggingFace(name=str(tmp_path)).load()


def test_a_file_that_the_library_cannot_read_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match=r"dataset\.name.*cannot be read"):
        HuggingFace(name=str(tmp_path)).load()


@pytest.mark.network
def test_mnist_is_fetched_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    splits = HuggingFace(name="ylecun/mnist", channels=1, images=100).load()
    assert splits.input_shape == (1, 28, 28)
    assert len(splits.class_names) == 10
