from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedleak.metrics.base import MetricUnavailableError
from fedleak.metrics.leaked import Leaked
from fedleak.metrics.lpips import Lpips
from fedleak.metrics.psnr import Psnr


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Images with growing noise: from an exact copy to nothing alike."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(4, 3, 16, 16, generator=generator)
    noise = torch.randn(truth.shape, generator=generator) * torch.tensor([0.0, 0.01, 0.1, 1.0])[:, None, None, None]
    return (truth + noise).clamp(0, 1), truth


def test_both_thresholds_must_be_met(alexnet_file: Path) -> None:
    guess, truth = pair()
    distance, psnr = Lpips(backbone=str(alexnet_file)).evaluate(guess, truth), Psnr().evaluate(guess, truth)
    limit = float(distance[1])
    for lpips, decibels in ((limit, 18.0), (10.0, 30.0), (limit / 2, 18.0)):
        expected = (distance <= lpips) & (psnr >= decibels)
        found = Leaked(lpips=lpips, psnr=decibels, backbone=str(alexnet_file)).evaluate(guess, truth)
        assert found.tolist() == expected.float().tolist()
        assert found[0] == 1
        assert found[3] == 0


def test_without_weights_it_is_absent(tmp_path: Path) -> None:
    with pytest.raises(MetricUnavailableError):
        Leaked(backbone=str(tmp_path / "none.pth")).evaluate(*pair())
