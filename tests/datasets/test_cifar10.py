from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fedleak.datasets.cifar10 import Cifar10, _to_arrays
from fedleak.errors import InputError


def test_absent_files_are_an_input_error_that_offers_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dataset\.root.*image_folder"):
        Cifar10(root=tmp_path, download=False).load()


def test_a_failed_download_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)
    with pytest.raises(InputError, match="no network in tests"):
        Cifar10(root=tmp_path).load()


def test_channels_come_first() -> None:
    pixels = np.arange(2 * 32 * 32 * 3, dtype=np.int64).reshape(2, 32, 32, 3).astype(np.uint8)
    data = _to_arrays(SimpleNamespace(data=pixels, targets=[3, 9]))
    assert data.images.shape == (2, 3, 32, 32)
    assert data.images.flags.c_contiguous
    np.testing.assert_array_equal(data.images[1, 2], pixels[1, :, :, 2])
    assert data.labels.tolist() == [3, 9]
