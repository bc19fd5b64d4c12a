from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from fedleak.tasks.regression import Regression

TASK = Regression(tolerance=0.3)


def test_there_is_one_output() -> None:
    assert Regression().outputs(7) == 1


def test_targets_are_class_numbers_scaled_to_one() -> None:
    assert TASK.targets(torch.tensor([[0, 2], [4, 1]]), 5).tolist() == [[[0.0], [0.5]], [[1.0], [0.25]]]
    assert TASK.targets(torch.tensor([0]), 1).tolist() == [[0.0]], "a single class is no division by zero"


def test_the_loss_is_the_squared_error() -> None:
    outputs, targets = torch.tensor([[0.5], [1.0]]), torch.tensor([[0.0], [1.0]])
    assert TASK.loss(outputs, targets, reduction="none").tolist() == [0.25, 0.0]
    assert float(TASK.loss(outputs, targets)) == 0.125
    assert float(TASK.loss(outputs, targets, reduction="sum")) == 0.25


def test_an_output_within_the_tolerance_is_right() -> None:
    outputs, targets = torch.tensor([[0.2], [0.4], [-0.2]]), torch.zeros(3, 1)
    assert TASK.correct(outputs, targets).tolist() == [1.0, 0.0, 1.0]


def test_the_nearest_class_is_found_and_none_beyond_the_last() -> None:
    variables = torch.tensor([[0.3], [0.7], [9.0], [-9.0]])
    assert TASK.found_labels(variables, 3).tolist() == [1, 1, 2, 0]
    assert TASK.found_labels(variables, 1).tolist() == [0, 0, 0, 0]


def test_no_tolerance_would_make_nothing_right() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        Regression(tolerance=0)


@pytest.mark.parametrize(
    ("tolerance", "classes", "chance"), [(0.1, 10, 0.2), (0.1, 11, 2 / 11), (0.01, 10, 0.1), (5.0, 10, 1.0)]
)
def test_chance_is_the_largest_share_within_the_tolerance_of_one_output(
    tolerance: float, classes: int, chance: float
) -> None:
    assert Regression(tolerance=tolerance).chance(classes) == pytest.approx(chance)
