from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fedleak.data.sources.fer2013 import EMOTIONS
from fedleak.data.sources.jaffe import CODES, Jaffe
from fedleak.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two women, every expression twice, in the data set's own names."""
    number = 0
    for who in ("KA", "YM"):
        for label, code in enumerate(CODES):
            for take in (1, 2):
                number += 1
                Image.new("L", (256, 256), 10 * label + take).save(tmp_path / f"{who}.{code}{take}.{number}.tiff")
    (tmp_path / "README").write_text("no picture")
    return tmp_path


def test_the_name_says_the_expression(folder: Path) -> None:
    splits = Jaffe(root=folder, size=16, test_fraction=0.25).load()
    assert splits.input_shape == (1, 16, 16)
    assert (len(splits.train), len(splits.test)) == (21, 7)
    named = list(CODES.values())
    for image, label in zip(splits.train.images, splits.train.labels, strict=True):
        assert named[int(image[0, 0, 0]) // 10] == EMOTIONS[label]


def test_names_without_a_number_of_the_take_are_read(tmp_path: Path) -> None:
    for name in ("KA.NE.1.tiff", "KA.NE2.2.tiff", "KA.HA1.3.tiff", "KA.HA2.4.tiff"):
        Image.new("L", (8, 8)).save(tmp_path / name)
    assert Jaffe(root=tmp_path).load().train.labels.tolist() == [3, 6]


@pytest.mark.parametrize("name", ["face.tiff", "KA.XX1.3.tiff"])
def test_other_names_are_refused(folder: Path, name: str) -> None:
    Image.new("L", (256, 256)).save(folder / name)
    with pytest.raises(InputError, match=rf"{name}.*encodes the expression"):
        Jaffe(root=folder).load()
