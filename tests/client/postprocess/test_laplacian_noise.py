from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedleak.client.postprocess.base import Update
from fedleak.client.postprocess.laplacian_noise import LaplacianNoise
from fedleak.client.postprocess.tensors import laplace_like
from tests.client.postprocess.updates import RelativeTo, check_noise, generator, noisy_by_hand, updates

UPDATE = {"a": torch.tensor([3.0, -4.0]), "b": torch.zeros(2)}


def test_noise_comes_on_top_tensor_by_tensor() -> None:
    result = LaplacianNoise(std=0.1).apply(UPDATE, generator=generator())
    draws = generator()
    for name, tensor in UPDATE.items():
        torch.testing.assert_close(result[name], tensor + 0.1 * laplace_like(tensor, draws))


def test_relative_to_the_tensor_or_to_the_whole_update() -> None:
    """Root mean squares: of ``a`` sqrt(12.5), of ``b`` 0, of all four values 2.5."""
    own = LaplacianNoise(std=0.1, relative_to="tensor").apply(UPDATE, generator=generator())
    common = LaplacianNoise(std=0.1, relative_to="update").apply(UPDATE, generator=generator())
    draws = generator()
    noise = {name: laplace_like(tensor, draws) for name, tensor in UPDATE.items()}
    torch.testing.assert_close(own["a"], UPDATE["a"] + 0.1 * 12.5**0.5 * noise["a"])
    assert torch.equal(own["b"], UPDATE["b"])
    torch.testing.assert_close(common["b"], 0.25 * noise["b"])


@pytest.mark.parametrize("std", [0.0, 0.5])
def test_the_standard_deviation_is_the_one_asked_for(std: float) -> None:
    result = LaplacianNoise(std=std).apply({"w": torch.zeros(100_000)}, generator=generator())["w"]
    assert float(result.std()) == pytest.approx(std, rel=0.02)


@given(
    update=updates(),
    std=st.sampled_from([0.0, 1e-3, 1.0, 100.0]),
    relative_to=st.sampled_from(["nothing", "tensor", "update"]),
)
def test_value_by_value(update: Update, std: float, relative_to: RelativeTo) -> None:
    """Zeros, constants, huge and tiny values, counters and empty tensors; every draw in the order of the mapping."""
    draws = generator()
    expected = noisy_by_hand(update, lambda t: laplace_like(t, draws), std=std, relative_to=relative_to)
    result = LaplacianNoise(std=std, relative_to=relative_to).apply(update, generator=generator())
    check_noise(result, expected, std=std)
