from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedleak.client.postprocess.base import Update
from fedleak.client.postprocess.elementwise_clipping import ElementwiseClipping
from tests.client.postprocess.updates import generator, updates


@given(update=updates(), bound=st.floats(2**-20, 2**20, width=32))
def test_value_by_value(update: Update, bound: float) -> None:
    result = ElementwiseClipping(bound=bound).apply(update, generator=generator())
    for name, tensor in update.items():
        if tensor.is_floating_point():
            assert result[name].flatten().tolist() == [max(-bound, min(bound, v)) for v in tensor.flatten().tolist()]
        else:
            assert torch.equal(result[name], tensor)


def test_by_hand() -> None:
    update = {"w": torch.tensor([0.2, -0.7, 0.5])}
    result = ElementwiseClipping(bound=0.5).apply(update, generator=generator())["w"]
    assert torch.equal(result, torch.tensor([0.2, -0.5, 0.5]))


def test_the_surrogate_is_the_clipping_itself() -> None:
    made = ElementwiseClipping(bound=0.5).surrogate({"w": torch.tensor([-1.0, 0.2, 3.0])}, shared={})["w"]
    assert made.tolist() == pytest.approx([-0.5, 0.2, 0.5])
