from __future__ import annotations

import torch

from fedleak.metrics.fft_2d import Fft2d

IMAGE = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_shifted_copy_is_perfect() -> None:
    assert (Fft2d().evaluate(torch.roll(IMAGE, (2, 3), dims=(-2, -1)), IMAGE) < 1e-6).all()


def test_waves_of_different_frequency_share_nothing() -> None:
    columns = torch.arange(8.0)
    waves = [torch.cos(2 * torch.pi * k * columns / 8).expand(1, 1, 8, 8) for k in (1, 2)]
    torch.testing.assert_close(Fft2d().evaluate(waves[0], waves[1]), torch.ones(1))


def test_scale_does_not_count() -> None:
    assert (Fft2d().evaluate(0.5 * IMAGE, IMAGE) < 1e-6).all()
