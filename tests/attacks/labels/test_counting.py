from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from fedleak.attacks.labels.counting import (
    count_images,
    forced_counts,
    labels_of,
    least_squares,
    linear_bayes,
    nearest_counts,
)
from fedleak.errors import AttackFailedError

# Three classes; images of class 0 are well known to the model, those of 1 and 2 are not.
EXPECTED = torch.tensor([[0.8, 0.1, 0.1], [0.3, 0.4, 0.3], [0.3, 0.2, 0.5]], dtype=torch.float64)


NO_SPREAD = torch.zeros(3, 3)


def gradient(counts: list[int]) -> torch.Tensor:
    """``(1/B) sum_j n_j (P_j - e_j)``."""
    numbers = torch.tensor(counts, dtype=torch.float64)
    return (numbers @ EXPECTED - numbers) / numbers.sum()


def test_counts_become_sorted_labels() -> None:
    assert labels_of(torch.tensor([2, 0, 1])).tolist() == [0, 0, 2]


def test_nearest_counts_by_hand() -> None:
    """Of (1, 0, 3) at 0.36 + 0.04 + 0.16 and (2, 0, 2) at 0.16 + 0.04 + 0.36 both are nearest; 2.7 breaks the tie."""
    assert nearest_counts(torch.tensor([1.6, -0.2, 2.7]), 4).tolist() == [1, 0, 3]


def test_nearest_counts_above_lower_bounds_by_hand() -> None:
    assert nearest_counts(torch.tensor([1.6, -0.2, 2.7]), 4, least=torch.tensor([0, 1, 0])).tolist() == [1, 1, 2]


def test_a_negative_entry_forces_images_and_an_impossible_one_nothing() -> None:
    """Of four images: -4 x -0.3 = 1.2 must be two; a gradient that forces five is no gradient."""
    assert forced_counts(torch.tensor([-0.3, 0.4, -0.1]), 4).tolist() == [2, 0, 1]
    assert forced_counts(torch.tensor([-0.6, 0.4, -0.6]), 4).tolist() == [0, 0, 0]


@pytest.mark.parametrize("known_scale", [True, False])
def test_a_single_image_is_found_however_wrong_the_expected_softmax(known_scale: bool) -> None:
    """The model takes noise for class 2, the image is of class 0 and the model sure of it."""
    noise = torch.tensor([[0.01, 0.01, 0.98]]).expand(3, 3)
    gradient = torch.tensor([-0.05, 0.03, 0.02])
    assert count_images(linear_bayes(noise, NO_SPREAD, 1), gradient, 1, known_scale=known_scale).tolist() == [1, 0, 0]


@pytest.mark.parametrize("seed", range(20))
def test_nearest_counts_agree_with_trying_everything(seed: int) -> None:
    wanted = 2.5 * torch.randn(4, generator=torch.Generator().manual_seed(seed)) + 1
    every = [c for c in itertools.product(range(6), repeat=4) if sum(c) == 5]
    best = min(float((wanted - torch.tensor(c)).square().sum()) for c in every)
    found = nearest_counts(wanted, 5)
    assert int(found.sum()) == 5
    assert float((wanted - found).square().sum()) == pytest.approx(best, rel=1e-5)


ESTIMATORS = {"least squares": least_squares, "bayes": lambda rows, total: linear_bayes(rows, NO_SPREAD, total)}


@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
@pytest.mark.parametrize("counts", [[1, 0, 0], [3, 2, 1], [0, 4, 4], [10, 0, 6]])
def test_the_system_gives_back_the_counts_of_an_exact_gradient(counts: list[int], estimator: Any) -> None:
    total = sum(counts)
    made = estimator(EXPECTED, total)
    assert count_images(made, gradient(counts), total, known_scale=True).tolist() == counts


@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
@pytest.mark.parametrize("counts", [[1, 0, 0], [0, 4, 4], [10, 0, 6], [3, 0, 1]])
def test_an_unknown_scale_is_found_where_a_class_is_empty(counts: list[int], estimator: Any) -> None:
    total = sum(counts)
    made = estimator(EXPECTED, total)
    assert count_images(made, 0.037 * gradient(counts), total, known_scale=False).tolist() == counts


def test_much_spread_leaves_what_is_known_beforehand() -> None:
    estimator = linear_bayes(EXPECTED, 1e6 * torch.eye(3), 6)
    assert count_images(estimator, gradient([6, 0, 0]), 6, known_scale=True).tolist() == [2, 2, 2]


@pytest.mark.parametrize("known", [True, False])
def test_what_is_not_finite_is_a_failed_attack(known: bool) -> None:
    with pytest.raises(AttackFailedError, match="not finite"):
        count_images(least_squares(EXPECTED, 4), torch.full((3,), torch.nan), 4, known_scale=known)
    with pytest.raises(AttackFailedError, match="not finite"):
        least_squares(EXPECTED / 0, 4)


def test_a_zero_gradient_has_no_scale() -> None:
    with pytest.raises(AttackFailedError, match="zero"):
        count_images(least_squares(EXPECTED, 4), torch.zeros(3), 4, known_scale=False)
