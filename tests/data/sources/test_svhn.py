from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from torchvision.datasets import SVHN

from fedleak.data.sources.svhn import Svhn
from fedleak.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 4), dtype=np.uint8)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four and two images in the data set's own format, in which a nought has label 10."""
    known = {}
    for split, count in (("train", 4), ("test", 2)):
        path = tmp_path / f"{split}_32x32.mat"
        savemat(path, {"X": PIXELS[..., :count], "y": np.array([[10], [1], [9], [10]], dtype=np.uint8)[:count]})
        known[split] = ["", path.name, hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()]
    monkeypatch.setattr(SVHN, "split_list", known)
    return tmp_path


def test_a_nought_is_class_zero_and_channels_come_first(copy: Path) -> None:
    splits = Svhn(root=copy, download=False).load()
    assert splits.train.labels.tolist() == [0, 1, 9, 0]
    assert splits.test.labels.tolist() == [0, 1]
    assert splits.class_names == tuple("0123456789")
    np.testing.assert_array_equal(splits.train.images[2, 1], PIXELS[:, :, 1, 2])


def test_absent_files_are_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dataset\.root.*svhn is missing"):
        Svhn(root=tmp_path, download=False).load()
