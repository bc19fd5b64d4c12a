from __future__ import annotations

import torch

from fedleak.attacks.labels.min_rule import MinRule
from fedleak.attacks.labels.row_sum import RowSum
from fedleak.models.lenet import LeNet
from fedleak.threat import SharedUpdate
from tests.attacks.labels.test_greedy_bias import guesses


def update_of(weight: torch.Tensor) -> SharedUpdate:
    return SharedUpdate({"weight": weight}, "fedsgd", 1, 1, 1)


def test_one_image_is_always_right() -> None:
    guessed, true = guesses(LeNet(), batch=1, count=100, inference=MinRule())
    assert (guessed == true).all()


def test_it_finds_a_class_that_the_sum_hides() -> None:
    """Class 1 has one clearly negative entry; its large positive one lifts the sum above that of class 0."""
    update = update_of(torch.tensor([[-0.1, -0.1], [-0.5, 0.9], [0.2, 0.3]]))
    assert MinRule().infer(update, count=1).tolist() == [1]
    assert RowSum().infer(update, count=1).tolist() == [0]
