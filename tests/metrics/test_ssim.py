from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fedleak.metrics.ssim import Ssim

Array = NDArray[np.float64]


def window_of(side: int) -> Array:
    """11x11 Gaussian of deviation 1.5; 7x7 mean for images under 16 pixels."""
    if side < 16:
        return np.full((7, 7), 1 / 49)
    bell = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    return np.outer(bell, bell) / bell.sum() ** 2


def naive_ssim(first: Array, second: Array) -> float:
    """Wang et al. 2004, Eq. 13, at every pixel of one channel, borders mirrored."""
    window = window_of(min(first.shape))
    half = len(window) // 2
    a, b = (np.pad(image, half, mode="reflect") for image in (first, second))
    values = []
    for y in range(first.shape[0]):
        for x in range(first.shape[1]):
            p, q = (image[y : y + len(window), x : x + len(window)] for image in (a, b))
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            cov = (window * (p - mp) * (q - mq)).sum()
            values.append((2 * mp * mq + 1e-4) * (2 * cov + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
    return float(np.mean(values))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (15, 20), (16, 16), (17, 32)])
def test_equals_a_naive_loop_on_both_sides_of_the_small_image_rule(height: int, width: int) -> None:
    draw = np.random.default_rng(0)
    truth = draw.random((2, 3, height, width))
    guess = np.clip(truth + 0.2 * draw.standard_normal(truth.shape), 0, 1)
    expected = [
        np.mean([naive_ssim(g, t) for g, t in zip(gs, ts, strict=True)]) for gs, ts in zip(guess, truth, strict=True)
    ]
    value = Ssim().evaluate(torch.from_numpy(guess), torch.from_numpy(truth))
    assert value.tolist() == pytest.approx(expected, abs=1e-6)


def test_an_inverted_image_is_worse_than_a_grey_one() -> None:
    truth = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    inverted, grey = (float(Ssim().evaluate(guess, truth)) for guess in (1 - truth, torch.full_like(truth, 0.5)))
    assert inverted < 0 < grey < 1
