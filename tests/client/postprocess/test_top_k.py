from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedleak.client.postprocess.base import Update
from fedleak.client.postprocess.top_k import TopK
from tests.client.postprocess.updates import floats, generator, updates


def check_kept(before: list[float], after: list[float], share: float) -> None:
    """What stays is untouched, as large as anything that went, and as many as it should be."""
    count = math.ceil(share * len(before) - 1e-9)
    changed = [(b, a) for b, a in zip(before, after, strict=True) if b != a]
    assert all(a == 0 for _, a in changed)
    kept = sorted(map(abs, after), reverse=True)[:count]
    assert kept == sorted(map(abs, before), reverse=True)[:count]
    assert sum(a != 0 for a in after) <= count


@given(update=updates(), share=st.floats(0.01, 1.0))
def test_each_tensor_keeps_its_largest(update: Update, share: float) -> None:
    result = TopK(share=share).apply(update, generator=generator())
    for name, tensor in update.items():
        if tensor.is_floating_point() and tensor.numel():
            check_kept(tensor.flatten().tolist(), result[name].flatten().tolist(), share)
        else:
            assert torch.equal(result[name], tensor)


@given(update=updates(), share=st.floats(0.01, 1.0))
def test_the_update_keeps_its_largest(update: Update, share: float) -> None:
    result = TopK(share=share, scope="global").apply(update, generator=generator())
    assert list(result) == list(update)
    if floats(update):
        check_kept(floats(update), floats(result), share)


@pytest.mark.parametrize(
    ("scope", "expected"), [("tensor", ([5.0, 0, 0], [0, 2.0])), ("global", ([5.0, -4.0, 0], [0, 0]))]
)
def test_by_hand(scope: Literal["tensor", "global"], expected: tuple[list[float], list[float]]) -> None:
    update = {"a": torch.tensor([5.0, -4.0, 3.0]), "b": torch.tensor([-1.0, 2.0])}
    result = TopK(share=1 / 3, scope=scope).apply(update, generator=generator())
    assert (result["a"].tolist(), result["b"].tolist()) == expected


def test_a_share_that_rounds_badly() -> None:
    assert int(TopK(share=0.29).apply({"w": torch.randn(100)}, generator=generator())["w"].count_nonzero()) == 29
