from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedleak.client.postprocess.base import Update
from fedleak.client.postprocess.tensors import (
    add_noise,
    added_variance,
    laplace_like,
    normal_like,
    root_mean_square,
    rounding_variances,
    scaled_norm,
    uniform_like,
)
from tests.client.postprocess.updates import floats, generator, updates

TINY = float(torch.finfo(torch.float32).tiny)


@given(update=updates())
def test_the_scaled_norm_is_the_norm_in_double_precision(update: Update) -> None:
    values = floats(update)
    largest, relative = scaled_norm(update.values())
    expected = max((abs(v) for v in values), default=0.0)
    assert float(largest) == max(expected, TINY)
    norm = math.hypot(*values)
    assert float(largest) * float(relative) == pytest.approx(norm, rel=1e-5, abs=TINY)
    assert float(relative) >= 1 or norm < TINY


@given(update=updates())
def test_the_root_mean_square_neither_overflows_nor_vanishes(update: Update) -> None:
    values = floats(update)
    expected = math.hypot(*values) / math.sqrt(max(len(values), 1))
    assert float(root_mean_square(update.values())) == pytest.approx(expected, rel=1e-5, abs=TINY)


def test_doubles_beyond_the_square_root_of_their_range() -> None:
    largest, relative = scaled_norm([torch.tensor([3e300, 4e300], dtype=torch.float64)])
    assert float(largest) * float(relative) == pytest.approx(5e300)


@pytest.mark.parametrize("draw", [normal_like, laplace_like])
def test_noise_has_mean_zero_and_variance_one(draw: object) -> None:
    noise = draw(torch.zeros(200_000), generator())  # type: ignore[operator]
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.var()) == pytest.approx(1, abs=0.03)
    assert noise.isfinite().all()


def test_laplace_tails_are_exponential() -> None:
    """``P(|x| > t) = exp(-sqrt(2) t)`` for unit variance."""
    magnitude = laplace_like(torch.zeros(200_000), generator()).abs()
    for t in (0.5, 1.0, 2.0, 4.0):
        assert float((magnitude > t).float().mean()) == pytest.approx(math.exp(-math.sqrt(2) * t), abs=0.004)


@given(seed=st.integers(0, 1000))
def test_draws_follow_the_type(seed: int) -> None:
    for dtype in (torch.float32, torch.float64):
        drawn = uniform_like(torch.zeros(5, dtype=dtype), generator(seed))
        assert drawn.dtype == dtype
        assert ((drawn >= 0) & (drawn < 1)).all()


@pytest.mark.parametrize("spread", [0.02, 20.0])
def test_the_variance_of_stochastic_rounding_shows_in_its_result(spread: float) -> None:
    values = spread * torch.randn(20_000, generator=generator())
    rounded = (values + torch.rand(20_000, generator=generator(1))).floor()
    (estimate,) = rounding_variances({"w": rounded, "count": torch.tensor([1])}).values()
    assert float(estimate) == pytest.approx(float((rounded - values).square().mean()), rel=0.15)


@pytest.mark.parametrize("relative_to", ["nothing", "tensor", "update"])
def test_the_variance_of_added_noise_shows_in_its_result(relative_to: str) -> None:
    update = {"a": torch.full((20_000,), 2.0), "b": torch.full((20_000,), 0.5)}
    noisy = add_noise(update, lambda t: normal_like(t, generator(int(t[0]))), std=0.5, relative_to=relative_to)
    found = added_variance(noisy, std=0.5, relative_to=relative_to)
    for name, tensor in update.items():
        assert float(found[name]) == pytest.approx(float((noisy[name] - tensor).square().mean()), rel=0.05)
