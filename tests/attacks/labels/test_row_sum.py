from __future__ import annotations

import torch

from fedleak.attacks.labels.row_sum import RowSum
from fedleak.models.lenet import LeNet
from fedleak.threat import SharedUpdate
from tests.attacks.labels.test_greedy_bias import BIAS, FEATURES, guesses


def update_of(weight: torch.Tensor) -> SharedUpdate:
    return SharedUpdate({"weight": weight}, "fedsgd", 1, 1, 2)


def test_one_image_is_always_right() -> None:
    """iDLG's rule, on every one of a hundred digits: features of a sigmoid network are positive."""
    data_guesses, true = guesses(LeNet(), batch=1, count=100, inference=RowSum())
    assert (data_guesses == true).all()


def test_the_lowest_sums_by_hand() -> None:
    """Rows of an outer product sum to ``BIAS * 3.5``: 2 and 0 are lowest; a repeat of 2 is not found."""
    assert RowSum().infer(update_of(torch.outer(BIAS, FEATURES)), count=2).tolist() == [0, 2]


def test_more_labels_than_classes_start_over() -> None:
    assert RowSum().infer(update_of(torch.outer(BIAS, FEATURES)), count=5).tolist() == [0, 1, 2, 2, 3]
