from __future__ import annotations

import pytest
import torch

from fedleak.metrics.psnr import PERFECT_DB, Psnr
from fedleak.metrics.registered_psnr import RegisteredPsnr, overlap_error

IMAGE = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shift", [(1, 0), (-3, 2), (0, -2), (3, 3)])
def test_it_undoes_a_known_shift(shift: tuple[int, int]) -> None:
    value = RegisteredPsnr().evaluate(torch.roll(IMAGE, shift, dims=(-2, -1)), IMAGE)
    assert (value == PERFECT_DB).all()


def test_a_larger_shift_is_not_undone() -> None:
    assert (RegisteredPsnr(largest_shift=1).evaluate(torch.roll(IMAGE, 3, dims=-1), IMAGE) < 20).all()


def test_without_shifts_it_is_psnr() -> None:
    noisy = (IMAGE + 0.1).clamp(0, 1)
    torch.testing.assert_close(RegisteredPsnr(largest_shift=0).evaluate(noisy, IMAGE), Psnr().evaluate(noisy, IMAGE))


def test_the_overlap_by_hand() -> None:
    """``[1, 2, 3]`` moved right by one against ``[9, 1, 2]`` agrees on the two pixels that both have."""
    moved, fixed = torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.tensor([[[[9.0, 1.0, 2.0]]]])
    assert float(overlap_error(moved, fixed, 0, 1)) == 0
    assert float(overlap_error(moved, fixed, 0, 0)) == pytest.approx((64 + 1 + 1) / 3)
