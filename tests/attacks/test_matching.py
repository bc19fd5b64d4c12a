from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedleak.attacks.matching import best_permutation, pairwise_squared_distance, permutation_invariant_mse


def batches(count: int, size: int, seed: int) -> torch.Tensor:
    return torch.rand(count, size, 2, 3, 2, generator=torch.Generator().manual_seed(seed))


def brute_force(estimate: torch.Tensor, target: torch.Tensor) -> float:
    """Least mean squared error over all orders, each batch on its own."""
    orders = list(itertools.permutations(range(target.shape[1])))
    least = [
        min(float((e[list(order)] - t).square().mean()) for order in orders)
        for e, t in zip(estimate, target, strict=True)
    ]
    return sum(least) / len(least)


@given(count=st.integers(1, 3), size=st.integers(1, 4), seed=st.integers(0, 999))
def test_loss_equals_brute_force_over_all_orders(count: int, size: int, seed: int) -> None:
    estimate, target = batches(count, size, seed), batches(count, size, seed + 1000)
    assert float(permutation_invariant_mse(estimate, target)) == pytest.approx(brute_force(estimate, target), rel=1e-5)


@given(size=st.integers(1, 5), data=st.data())
def test_any_order_of_the_estimates_gives_the_same_loss(size: int, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(size)))
    estimate, target = batches(2, size, 0), batches(2, size, 1)
    shuffled = permutation_invariant_mse(estimate[:, order], target)
    torch.testing.assert_close(shuffled, permutation_invariant_mse(estimate, target))


def test_a_shuffled_copy_is_put_back_into_order() -> None:
    target = batches(1, 4, 0)
    shuffled = target[:, [2, 0, 3, 1]]
    assert best_permutation(shuffled, target).tolist() == [[1, 3, 0, 2]]
    assert permutation_invariant_mse(shuffled, target) == 0


def test_distance_equals_a_double_loop_also_when_rectangular() -> None:
    first, second = batches(2, 3, 0), batches(2, 4, 1)
    distance = pairwise_squared_distance(first, second)
    assert distance.shape == (2, 3, 4)
    for n, a, b in itertools.product(range(2), range(3), range(4)):
        assert float(distance[n, a, b]) == pytest.approx(float((first[n, a] - second[n, b]).square().mean()), rel=1e-4)


def test_gradient_reaches_every_estimate_at_its_own_target() -> None:
    target = batches(1, 3, 0)
    estimate = target[:, [1, 2, 0]].clone() + 0.01
    estimate.requires_grad_()
    permutation_invariant_mse(estimate, target).backward()  # type: ignore[no-untyped-call]
    assert estimate.grad is not None
    torch.testing.assert_close(estimate.grad, torch.full_like(target, 2 * 0.01 / target.numel()))


@pytest.mark.parametrize("size", [1, 3])
def test_a_diverged_estimate_has_a_loss_that_is_not_a_number(size: int) -> None:
    target = batches(2, size, 0)
    assert permutation_invariant_mse(torch.full_like(target, torch.nan), target).isnan()
