from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedleak.client.postprocess.base import Update
from fedleak.client.postprocess.uniform_quantisation import UniformQuantisation
from tests.client.postprocess.updates import generator, updates


@given(update=updates(), bits=st.integers(2, 16), stochastic=st.booleans(), seed=st.integers(0, 50))
def test_every_value_moves_to_a_neighbour_on_the_grid(update: Update, bits: int, stochastic: bool, seed: int) -> None:
    step = UniformQuantisation(bits=bits, rounding="stochastic" if stochastic else "nearest")
    result = step.apply(update, generator=generator(seed))
    for name, tensor in update.items():
        if not tensor.is_floating_point() or not tensor.numel():
            assert torch.equal(result[name], tensor)
            continue
        grid = float(tensor.abs().max()) / (2 ** (bits - 1) - 1)
        moved = (result[name].double() - tensor.double()).abs()
        assert (moved <= (1.0 if stochastic else 0.5) * grid * 1.01 + 1e-37).all()
        if grid > 1e-30:
            places = result[name].double() / grid
            torch.testing.assert_close(places, places.round(), atol=1e-2, rtol=1e-6)


def test_by_hand() -> None:
    """Three bits: a grid of 3 steps of 0.4 on either side."""
    tensor = torch.tensor([1.2, 0.5, -0.7, 0.1, 0.0])
    result = UniformQuantisation(bits=3).apply({"w": tensor}, generator=generator())["w"]
    torch.testing.assert_close(result, torch.tensor([1.2, 0.4, -0.8, 0.0, 0.0]))


def test_stochastic_rounding_is_unbiased() -> None:
    tensor = torch.full((10**6 + 1,), 0.3)
    tensor[-1] = 1.0
    step = UniformQuantisation(bits=2, rounding="stochastic")
    result = step.apply({"w": tensor}, generator=generator(3))["w"]
    assert set(result.unique().tolist()) == {0.0, 1.0}
    assert float(result[:-1].mean()) == pytest.approx(0.3, abs=1e-3)


@pytest.mark.parametrize("bits", [1, 17])
def test_bits_are_bounded(bits: int) -> None:
    with pytest.raises(ValueError, match="bits"):
        UniformQuantisation(bits=bits)


def test_the_surrogate_rounds_with_the_derivative_of_the_value() -> None:
    trial = torch.tensor([3.0, -1.4, 0.2], requires_grad=True)
    made = UniformQuantisation(bits=3).surrogate({"w": trial}, shared={})["w"]
    assert made.tolist() == [3.0, -1.0, 0.0]
    made.sum().backward()
    assert trial.grad is not None
    assert trial.grad.tolist() == [1.0] * 3
    by_chance = UniformQuantisation(bits=3, rounding="stochastic").surrogate({"w": trial}, shared={})["w"]
    assert torch.equal(by_chance, trial)
