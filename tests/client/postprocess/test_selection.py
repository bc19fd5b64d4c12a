"""Which values of an update are kept: how many, which, and by which draws."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor

from fedleak.client.postprocess.selection import SAMPLED, kept_count, largest, on_support, random_places, select
from tests.client.postprocess.updates import generator


@pytest.mark.parametrize(
    ("share", "values", "count"),
    [(0.29, 100, 29), (0.291, 100, 30), (0.001, 10, 1), (1.0, 7, 7), (1 / 3, 3, 1), (0.5, 1, 1)],
)
def test_how_many_a_share_keeps(share: float, values: int, count: int) -> None:
    """Rounded up, although 0.29 * 100 is above 29 in floating point; at least one."""
    assert kept_count(share, values) == count


def test_the_largest_by_magnitude() -> None:
    values = torch.tensor([1.0, -5.0, 0.0, 4.0, -2.0])
    assert sorted(largest(values, 3).tolist()) == [1, 3, 4]
    assert largest(torch.tensor([1.0, torch.nan, 9.0]), 1).tolist() == [1], "NaN counts as the largest"


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.25, 0.3])
@pytest.mark.parametrize("form", ["normal", "equal", "sorted", "periodic", "one", "nan"])
def test_many_values_are_selected_as_torch_does(form: str, share: float) -> None:
    """Where a sample is taken, also of what would mislead it."""
    count = 5 * SAMPLED
    values = torch.randn(count, generator=generator())
    if form == "equal":
        values = torch.full((count,), -3.0)
    elif form == "sorted":
        values = values.sort().values
    elif form == "periodic":
        values[::5] = 100.0
    elif form == "one":
        values = torch.zeros(count).index_fill_(0, torch.tensor([7]), 1.0)
    elif form == "nan":
        values[11] = torch.nan
    kept = kept_count(share, count)
    places = largest(values, kept)
    assert len(places.unique()) == kept
    expected = values.abs().topk(kept).values
    torch.testing.assert_close(
        values[places].abs().sort(descending=True).values, expected, rtol=0, atol=0, equal_nan=True
    )


def test_every_pair_of_places_has_the_same_chance() -> None:
    draws = generator()
    pairs = [tuple(sorted(random_places(17, 2, draws).tolist())) for _ in range(20_000)]
    counts = Counter(pairs)
    assert len(counts) == 17 * 16 / 2
    expected = 20_000 / len(counts)
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 200  # chi squared, 135 degrees


@pytest.mark.parametrize("count", [0, 1, 3, 5, 9, 10])
def test_random_places_rise_and_are_as_many_as_wanted(count: int) -> None:
    places = random_places(10, count, generator()).tolist()
    assert places == sorted(set(places))
    assert len(places) == count
    assert set(places) <= set(range(10))


def test_trial_values_stay_where_the_shared_update_is_not_zero() -> None:
    shared = {"w": torch.tensor([0.0, -2.0, 1e-30])}
    assert on_support({"w": torch.tensor([1.0, 2.0, 3.0])}, shared)["w"].tolist() == [0.0, 2.0, 3.0]


def first_half(flat: Tensor) -> Tensor:
    """Zeroes the rest."""
    return torch.where(torch.arange(len(flat)) < len(flat) / 2, flat, 0)


UPDATE = {
    "a": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
    "count": torch.tensor([7, 8]),
    "empty": torch.zeros(0, 2),
    "b": torch.tensor([5.0, 6.0], dtype=torch.float64),
}


def test_each_tensor_by_itself() -> None:
    result = select(UPDATE, first_half, scope="tensor")
    assert (result["a"].tolist(), result["b"].tolist()) == ([[1.0, 2.0], [0.0, 0.0]], [5.0, 0.0])


def test_all_tensors_laid_end_to_end() -> None:
    """Six values, of which the first three stay; each has its own type again."""
    result = select(UPDATE, first_half, scope="global")
    assert (result["a"].tolist(), result["b"].tolist()) == ([[1.0, 2.0], [3.0, 0.0]], [0.0, 0.0])
    assert (result["a"].dtype, result["b"].dtype) == (torch.float32, torch.float64)


@pytest.mark.parametrize("scope", ["tensor", "global"])
def test_counters_and_empty_tensors_are_copied_and_arguments_left_alone(scope: str) -> None:
    before = {name: tensor.clone() for name, tensor in UPDATE.items()}
    result = select(UPDATE, first_half, scope=scope)  # type: ignore[arg-type]
    assert list(result) == list(UPDATE)
    assert (result["count"].tolist(), result["empty"].shape) == ([7, 8], (0, 2))
    result["count"] += 1
    result["a"] += 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in UPDATE.items())
    only = {"count": UPDATE["count"]}
    assert select(only, first_half, scope=scope)["count"].tolist() == [7, 8]  # type: ignore[arg-type]
