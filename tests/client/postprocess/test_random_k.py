from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedleak.client.postprocess.base import Update
from fedleak.client.postprocess.random_k import RandomK
from tests.client.postprocess.updates import floats, generator, updates


@given(update=updates(), share=st.floats(0.01, 1.0), everywhere=st.booleans(), seed=st.integers(0, 50))
def test_what_stays_is_untouched_and_as_many_as_it_should_be(
    update: Update, share: float, everywhere: bool, seed: int
) -> None:
    step = RandomK(share=share, scope="global" if everywhere else "tensor")
    ones = {n: torch.ones_like(t) if t.is_floating_point() else t for n, t in update.items()}
    result, places = (step.apply(u, generator=generator(seed)) for u in (update, ones))
    for name, tensor in update.items():
        if tensor.is_floating_point():
            assert torch.equal(result[name], torch.where(places[name] == 1, tensor, 0))
            if not everywhere and tensor.numel():
                assert int(places[name].sum()) == math.ceil(share * tensor.numel() - 1e-9)
    if everywhere and floats(update):
        assert sum(floats(places)) == math.ceil(share * len(floats(update)) - 1e-9)


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_every_place_has_the_same_chance(share: float) -> None:
    step, draws = RandomK(share=share), generator()
    counts = sum(step.apply({"w": torch.ones(8)}, generator=draws)["w"] for _ in range(4000))
    assert isinstance(counts, torch.Tensor)
    torch.testing.assert_close(counts / 4000, torch.full((8,), share), atol=0.03, rtol=0)


def test_rescaling_makes_it_unbiased() -> None:
    result = RandomK(share=0.5, rescale=True).apply({"w": torch.full((1000,), 3.0)}, generator=generator())["w"]
    assert result.unique().tolist() == [0.0, 6.0]
    assert float(result.mean()) == pytest.approx(3.0)


def test_the_surrogate_is_the_support_and_the_factor() -> None:
    trial, shared = {"w": torch.arange(1.0, 9.0), "b": torch.ones(2)}, {"w": torch.eye(8)[2], "b": torch.zeros(2)}
    made = RandomK(share=0.125, rescale=True).surrogate(trial, shared=shared)
    assert made["w"].tolist() == [0, 0, 24, 0, 0, 0, 0, 0]
    everywhere = RandomK(share=0.2, rescale=True, scope="global").surrogate(trial, shared=shared)
    assert everywhere["w"].tolist() == [0, 0, 15, 0, 0, 0, 0, 0], "two of ten places"
    assert RandomK(share=0.125).surrogate(trial, shared=shared)["w"].tolist() == [0, 0, 3, 0, 0, 0, 0, 0]
