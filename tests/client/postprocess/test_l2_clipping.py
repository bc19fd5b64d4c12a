from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedleak.client.postprocess.base import Update
from fedleak.client.postprocess.l2_clipping import L2Clipping
from tests.client.postprocess.updates import floats, updates

UPDATE = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([[-4.0]])}  # norm 5
NO_DRAW = torch.Generator()


def norm_of(update: Update) -> float:
    """Euclidean norm over all tensors together."""
    return float(torch.cat([tensor.flatten().double() for tensor in update.values()]).norm())


def test_a_long_update_is_scaled_as_a_whole() -> None:
    clipped = L2Clipping(max_norm=1.0).apply(UPDATE, generator=NO_DRAW)
    torch.testing.assert_close(clipped["a"], torch.tensor([0.6, 0.0]))
    torch.testing.assert_close(clipped["b"], torch.tensor([[-0.8]]))


@pytest.mark.parametrize("bound", [5.0, 7.0])
def test_a_short_update_is_left_alone(bound: float) -> None:
    clipped = L2Clipping(max_norm=bound).apply(UPDATE, generator=NO_DRAW)
    assert torch.equal(clipped["a"], UPDATE["a"])
    assert torch.equal(clipped["b"], UPDATE["b"])


@given(bound=st.floats(0.01, 100.0), scale=st.floats(1e-6, 1e6))
def test_norm_never_exceeds_the_bound(bound: float, scale: float) -> None:
    update = {name: scale * tensor for name, tensor in UPDATE.items()}
    norm = norm_of(L2Clipping(max_norm=bound).apply(update, generator=NO_DRAW))
    assert norm == pytest.approx(min(bound, 5 * scale), rel=1e-5)


@given(update=updates(), bound=st.sampled_from([1e-30, 0.01, 1.0, 1e30]))
def test_huge_and_tiny_values_against_double_precision(update: Update, bound: float) -> None:
    norm = math.hypot(*floats(update))
    factor = min(1.0, bound / norm) if norm else 1.0
    result = L2Clipping(max_norm=bound).apply(update, generator=NO_DRAW)
    for before, after in zip(floats(update), floats(result), strict=True):
        assert after == pytest.approx(before * factor, rel=1e-5, abs=1e-37 * max(1, bound))


@pytest.mark.parametrize("size", [0.1, 10.0])
def test_the_surrogate_is_the_clipping_itself(size: float) -> None:
    update = {"w": size * torch.tensor([3.0, 0.0]), "b": size * torch.tensor([4.0])}
    clipping = L2Clipping(max_norm=1.0)
    exact = clipping.apply(update, generator=torch.Generator())
    made = clipping.surrogate(update, shared={})
    for name, tensor in exact.items():
        torch.testing.assert_close(made[name], tensor)


def test_the_surrogate_has_a_finite_derivative_at_zero() -> None:
    zero = torch.zeros(3, requires_grad=True)
    L2Clipping(max_norm=1.0).surrogate({"w": zero}, shared={})["w"].sum().backward()
    assert zero.grad is not None
    assert zero.grad.isfinite().all()
