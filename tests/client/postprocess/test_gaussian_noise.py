from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedleak.client.postprocess.base import Update
from fedleak.client.postprocess.gaussian_noise import GaussianNoise
from fedleak.client.postprocess.tensors import normal_like
from tests.client.postprocess.updates import RelativeTo, check_noise, noisy_by_hand, updates


def test_noise_has_the_stated_moments(generator: torch.Generator) -> None:
    update = {"w": torch.full((200, 500), 2.0)}
    noise = GaussianNoise(std=0.1).apply(update, generator=generator)["w"] - 2.0
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.002)
    assert float(noise.std()) == pytest.approx(0.1, rel=0.01)
    assert float((noise.abs() > 0.196).float().mean()) == pytest.approx(0.05, abs=0.004)  # normal, not merely spread


def test_every_tensor_gets_its_own_draw(generator: torch.Generator) -> None:
    zero = {"a": torch.zeros(50), "b": torch.zeros(50)}
    noisy = GaussianNoise(std=1.0).apply(zero, generator=generator)
    assert abs(float(torch.corrcoef(torch.stack([noisy["a"], noisy["b"]]))[0, 1])) < 0.5


def test_zero_std_changes_nothing(generator: torch.Generator) -> None:
    update = {"w": torch.rand(5)}
    assert torch.equal(GaussianNoise(std=0.0).apply(update, generator=generator)["w"], update["w"])


def test_std_is_required_and_not_negative() -> None:
    for settings in ({}, {"std": -0.1}):
        with pytest.raises(ValidationError):
            GaussianNoise.model_validate(settings)


def test_relative_to_the_tensor_or_to_the_whole_update() -> None:
    """Root mean squares: of ``a`` sqrt(12.5), of ``b`` 0, of all four values 2.5."""
    update = {"a": torch.tensor([3.0, -4.0]), "b": torch.zeros(2)}
    draws = torch.Generator().manual_seed(0)
    noise = {name: torch.randn(2, generator=draws) for name in update}
    own, common = (
        GaussianNoise(std=0.1, relative_to=relative_to).apply(update, generator=torch.Generator().manual_seed(0))
        for relative_to in ("tensor", "update")
    )
    torch.testing.assert_close(own["a"], update["a"] + 0.1 * 12.5**0.5 * noise["a"])
    assert torch.equal(own["b"], update["b"])
    torch.testing.assert_close(common["a"], update["a"] + 0.25 * noise["a"])
    torch.testing.assert_close(common["b"], 0.25 * noise["b"])


@given(
    update=updates(),
    std=st.sampled_from([0.0, 1e-3, 1.0, 100.0]),
    relative_to=st.sampled_from(["nothing", "tensor", "update"]),
)
def test_value_by_value(update: Update, std: float, relative_to: RelativeTo) -> None:
    """Zeros, constants, huge and tiny values, counters and empty tensors; every draw in the order of the mapping."""
    draws = torch.Generator().manual_seed(0)
    expected = noisy_by_hand(update, lambda t: normal_like(t, draws), std=std, relative_to=relative_to)
    result = GaussianNoise(std=std, relative_to=relative_to).apply(update, generator=torch.Generator().manual_seed(0))
    check_noise(result, expected, std=std)
