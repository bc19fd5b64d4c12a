from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import FER2013

from fedleak.data.sources.fer2013 import EMOTIONS, Fer2013
from fedleak.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 48, 48), dtype=np.uint8)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, str]]:
    """Torchvision's table of sums, for this test."""
    table = dict(FER2013._RESOURCES)
    monkeypatch.setattr(FER2013, "_RESOURCES", table)
    return table


def write(path: Path, rows: list[dict[str, object]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def text(pixels: np.ndarray) -> str:
    return " ".join(str(value) for value in pixels.ravel())


def test_the_csv_holds_both_splits(tmp_path: Path, known: dict[str, tuple[str, str]]) -> None:
    usages = ("Training", "PublicTest", "Training", "PrivateTest")
    rows: list[dict[str, object]] = [
        {"emotion": i, "pixels": text(PIXELS[i]), "Usage": usage} for i, usage in enumerate(usages)
    ]
    known["fer"] = ("fer2013.csv", write(tmp_path / "fer2013/fer2013.csv", rows))
    splits = Fer2013(root=tmp_path).load()
    assert splits.class_names == EMOTIONS
    assert splits.train.labels.tolist() == [0, 2]
    assert splits.test.labels.tolist() == [1, 3]
    np.testing.assert_array_equal(splits.train.images[:, 0], PIXELS[[0, 2]])


def test_a_csv_without_test_labels_is_refused(tmp_path: Path, known: dict[str, tuple[str, str]]) -> None:
    folder = tmp_path / "fer2013"
    known["train"] = ("train.csv", write(folder / "train.csv", [{"emotion": 1, "pixels": text(PIXELS[0])}]))
    known["test"] = ("test.csv", write(folder / "test.csv", [{"pixels": text(PIXELS[1])}]))
    with pytest.raises(InputError, match=r"test\.csv has no labels"):
        Fer2013(root=tmp_path).load()


def test_a_csv_of_another_sum_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "fer2013/fer2013.csv", [{"emotion": 0, "pixels": text(PIXELS[0]), "Usage": "Training"}])
    with pytest.raises(InputError, match="corrupted"):
        Fer2013(root=tmp_path).load()


def test_folders_have_the_labels_of_the_csv(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label, name in enumerate(EMOTIONS):
            path = tmp_path / split / name / "x.png"
            path.parent.mkdir(parents=True)
            Image.new("L", (48, 48), 30 * label).save(path)
    splits = Fer2013(root=tmp_path, size=24).load()
    assert splits.input_shape == (1, 24, 24)
    assert splits.train.labels.tolist() == list(range(7))
    assert splits.test.images[:, 0, 0, 0].tolist() == [30 * label for label in range(7)]
