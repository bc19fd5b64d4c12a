from __future__ import annotations

import pytest
import torch

from fedleak.metrics.mse import Mse


def test_mean_over_pixels_and_channels_by_hand() -> None:
    truth = torch.zeros(2, 2, 1, 2)
    guess = torch.tensor([[[[0.0, 1.0]], [[0.5, 0.0]]], [[[0.1, 0.1]], [[0.1, 0.1]]]])
    assert Mse().evaluate(guess, truth).tolist() == pytest.approx([1.25 / 4, 0.01])
