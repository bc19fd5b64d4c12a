from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedleak.client.postprocess.base import Update
from fedleak.client.postprocess.magnitude_pruning import MagnitudePruning
from tests.client.postprocess.updates import updates

NO_DRAW = torch.Generator()


def test_the_smallest_magnitudes_of_each_tensor_become_zero() -> None:
    update = {"a": torch.tensor([[0.1, -5.0], [3.0, -0.2]]), "b": torch.tensor([100.0, 200.0])}
    pruned = MagnitudePruning(rate=0.5).apply(update, generator=NO_DRAW)
    assert torch.equal(pruned["a"], torch.tensor([[0.0, -5.0], [3.0, 0.0]]))
    assert torch.equal(pruned["b"], torch.tensor([0.0, 200.0]))


@given(size=st.integers(1, 300), rate=st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.9375]), seed=st.integers(0, 9))
def test_exactly_the_whole_part_of_the_share_is_pruned(size: int, rate: float, seed: int) -> None:
    values = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    pruned = MagnitudePruning(rate=rate).apply({"w": values}, generator=NO_DRAW)["w"]
    zero = pruned == 0
    assert int(zero.sum()) == int(rate * size)
    assert torch.equal(pruned[~zero], values[~zero])
    if zero.any():
        assert values[zero].abs().max() <= values[~zero].abs().min()


@given(update=updates(), rate=st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_tensor_by_tensor_against_sorting(update: Update, rate: float) -> None:
    """The magnitudes that are left are the largest, whatever their size; which of equal ones is free."""
    pruned = MagnitudePruning(rate=rate).apply(update, generator=NO_DRAW)
    for name, tensor in update.items():
        if not tensor.is_floating_point():
            assert torch.equal(pruned[name], tensor)
            continue
        before, after = tensor.flatten().tolist(), pruned[name].flatten().tolist()
        count = int(rate * len(before) + 1e-9)
        assert all(value in (0.0, original) for original, value in zip(before, after, strict=True))
        kept = sorted(map(abs, before))[count:]
        assert sorted(map(abs, after)) == [0.0] * count + kept


@pytest.mark.parametrize(("rate", "kept"), [(0.9, 100), (0.99, 10), (0.999, 1)])
def test_the_papers_rates_on_a_thousand_values(rate: float, kept: int) -> None:
    values = torch.arange(1.0, 1001.0)
    pruned = MagnitudePruning(rate=rate).apply({"w": values}, generator=NO_DRAW)["w"]
    assert torch.equal(pruned.nonzero().flatten(), torch.arange(1000 - kept, 1000))


def test_ties_do_not_prune_more() -> None:
    pruned = MagnitudePruning(rate=0.5).apply({"w": torch.ones(10)}, generator=NO_DRAW)["w"]
    assert int((pruned == 0).sum()) == 5


def test_the_surrogate_is_the_support_of_the_shared_update() -> None:
    shared, trial = {"w": torch.tensor([0.0, 2.0, 0.0, -1.0])}, {"w": torch.tensor([9.0, 3.0, 1.0, 0.5])}
    made = MagnitudePruning(rate=0.5).surrogate(trial, shared=shared)
    assert made["w"].tolist() == [0.0, 3.0, 0.0, 0.5]
