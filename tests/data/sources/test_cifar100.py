from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision.datasets import CIFAR100

from fedleak.data.sources.cifar100 import Cifar100
from fedleak.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 3072), dtype=np.uint8)


def write(root: Path, name: str, content: Any) -> str:
    """A pickle where torchvision looks for it; its MD5 sum."""
    path = root / CIFAR100.base_folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six and two images in the data set's own format; torchvision is told their sums."""
    train = write(tmp_path, "train", {"data": PIXELS, "fine_labels": [99, 0, 5, 5, 1, 7], "coarse_labels": [0] * 6})
    test = write(tmp_path, "test", {"data": PIXELS[:2], "fine_labels": [3, 4], "coarse_labels": [1] * 2})
    meta = write(tmp_path, "meta", {"fine_label_names": [f"class {i}" for i in range(100)]})
    monkeypatch.setattr(CIFAR100, "train_list", [["train", train]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", test]])
    monkeypatch.setattr(CIFAR100, "meta", CIFAR100.meta | {"md5": meta})
    return tmp_path


def test_fine_labels_and_channels_first(copy: Path) -> None:
    splits = Cifar100(root=copy, download=False).load()
    assert splits.train.labels.tolist() == [99, 0, 5, 5, 1, 7]
    assert splits.test.labels.tolist() == [3, 4]
    assert len(splits.class_names) == 100
    np.testing.assert_array_equal(splits.train.images, PIXELS.reshape(-1, 3, 32, 32))


def test_images_can_be_enlarged(copy: Path) -> None:
    assert Cifar100(root=copy, download=False, size=64).load().input_shape == (3, 64, 64)


def test_a_file_of_another_sum_is_never_unpickled(copy: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(copy / "harmed"),)

    write(copy, "train", Harm())
    with pytest.raises(InputError, match=r"dataset\.root.*cifar100 is missing"):
        Cifar100(root=copy, download=False).load()
    assert not (copy / "harmed").exists()
