from __future__ import annotations

from pathlib import Path

import pytest

from fedleak.data.sources.cifar10 import Cifar10
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
