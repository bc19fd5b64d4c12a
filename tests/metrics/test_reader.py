from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fedleak.data.sources.rendered import Rendered
from fedleak.metrics.reader import prepared, reader

CLOCKS = Rendered(content="clock", size=16, channels=1, seed=3)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path))
    reader.cache_clear()
    return tmp_path


def test_it_learns_to_read_and_knows_how_well() -> None:
    trained = reader(CLOCKS, 250)
    images, symbols = CLOCKS.draw(300, np.random.default_rng(99))
    right = trained.read(torch.from_numpy(images) / 255) == torch.from_numpy(symbols)
    assert right.shape == (300, 2)
    assert float(right.float().mean()) == pytest.approx(trained.accuracy, abs=0.06)
    assert trained.accuracy > 0.7


def test_it_is_trained_once_and_the_same_each_time(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    first = reader(CLOCKS, 3).read(images)
    (file,) = own_cache.rglob("*.safetensors")
    written = file.read_bytes()
    reader.cache_clear()
    monkeypatch.setattr("fedleak.metrics.reader._train", None)
    assert torch.equal(reader(CLOCKS, 3).read(images), first)
    monkeypatch.undo()
    monkeypatch.setenv("FEDLEAK_CACHE", str(own_cache / "other"))
    reader.cache_clear()
    reader(CLOCKS, 3)
    (other,) = (own_cache / "other").rglob("*.safetensors")
    assert other.read_bytes() == written


def test_images_become_grey_squares() -> None:
    images = torch.rand(2, 3, 48, 40, generator=torch.Generator().manual_seed(0))
    assert prepared(images, 32).shape == (2, 1, 32, 32)
    torch.testing.assert_close(prepared(images[..., :40, :], 40)[:, 0], images[..., :40, :].mean(dim=1))
