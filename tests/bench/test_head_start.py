from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fedleak.bench import head_start
from fedleak.bench.head_start import measure_head_start
from fedleak.bench.inversion import _engine
from fedleak.data.sources.base import LabelledImages
from fedleak.progress import QuietProgress
from tests.scenarios import command


def waves(count: int) -> LabelledImages:
    """Smooth pictures, two frequencies to each."""
    draw = np.random.default_rng(0)
    rows, columns = np.meshgrid(np.linspace(0, 3, 32), np.linspace(0, 3, 32), indexing="ij")
    phase = draw.uniform(0, 6, (count, 3, 2, 1, 1))
    pictures = 0.5 + 0.25 * np.sin(rows + phase[:, :, 0]) + 0.25 * np.sin(columns + phase[:, :, 1])
    return LabelledImages((255 * pictures).astype(np.uint8), draw.integers(0, 10, count).astype(np.int64))


def test_both_starts_are_timed_and_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_start, "BUDGETS", (1, 2))
    monkeypatch.setattr(head_start, "VICTIMS", 2)
    engine = _engine(head_start.LENET.build((3, 32, 32), 10, seed=0), compiled=False)
    measured = measure_head_start(engine, waves(82), QuietProgress(), pairs=80)
    assert measured["git_seconds_to_20db"] > 0
    assert measured["noise_seconds_to_20db"] > 0
    assert measured["time_to_20db_ratio"] == pytest.approx(
        measured["noise_seconds_to_20db"] / measured["git_seconds_to_20db"]
    )


def test_psnr_of_normalised_pixels_by_hand() -> None:
    """Off by 0.1 everywhere is 20 dB."""
    image = torch.full((1, 3, 4, 4), 0.5)
    assert head_start._psnr(2 * (image + 0.1) - 1, image) == pytest.approx(20, abs=1e-4)


def test_photographs_are_for_one_benchmark_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = command(capsys, "bench", "pairs", "--images", tmp_path)
    assert outcome.code == 2
    assert "only the benchmark inversion" in outcome.errors[0]
