from __future__ import annotations

import pytest
import torch

from fedleak.metrics.psnr import PERFECT_DB, Psnr


def test_decibels_by_hand() -> None:
    """A mean squared error of 0.01 is 20 dB, one of 1 is 0 dB, for images in [0, 1]."""
    truth = torch.zeros(3, 1, 4, 4)
    guess = torch.stack([torch.full((1, 4, 4), value) for value in (0.1, 1.0, 0.5)])
    assert Psnr().evaluate(guess, truth).tolist() == pytest.approx([20.0, 0.0, 6.0206], abs=1e-4)


def test_range_is_one_whatever_the_images_hold() -> None:
    truth = torch.full((1, 1, 2, 2), 0.5)
    assert float(Psnr().evaluate(truth + 0.01, truth)) == pytest.approx(40.0, abs=1e-3)


def test_an_exact_copy_is_finite_beside_an_inexact_one() -> None:
    truth = torch.rand(2, 3, 4, 4)
    guess = truth.clone()
    guess[1] = 1 - guess[1]
    values = Psnr().evaluate(guess, truth)
    assert values[0] == PERFECT_DB
    assert values[1] < 20
