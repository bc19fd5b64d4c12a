from __future__ import annotations

import torch

from fedleak.metrics.leaked_ssim import LeakedSsim
from fedleak.metrics.psnr import Psnr
from fedleak.metrics.ssim import Ssim


def test_psnr_of_a_constant_shift_decides() -> None:
    """A shift of 0.1 is 20 dB, of 0.2 it is 14 dB; both keep the structure of a strong pattern."""
    truth = 0.8 * torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    near, far = truth + 0.1, truth + 0.2
    assert Ssim().evaluate(near, truth) >= 0.8
    assert Ssim().evaluate(far, truth) >= 0.6
    assert LeakedSsim().evaluate(near, truth).tolist() == [1]
    assert LeakedSsim(ssim=0.6).evaluate(far, truth).tolist() == [0]


def test_structure_decides_where_psnr_is_high() -> None:
    """A faint pattern replaced by its mean is close in squares and has nothing of its structure."""
    truth = 0.5 + 0.05 * torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    flat = torch.full_like(truth, 0.5)
    assert Psnr().evaluate(flat, truth) >= 18
    assert LeakedSsim().evaluate(flat, truth).tolist() == [0]
    assert LeakedSsim().evaluate(truth, truth).tolist() == [1]
