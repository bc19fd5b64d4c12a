from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from fedleak.tasks.multi_label import MultiLabel

TASK = MultiLabel(attributes=((0, 2), (1, 2)))
"""Of three classes the first has one attribute, the second the other, the third both."""


def test_there_is_an_output_for_each_attribute() -> None:
    assert TASK.outputs(3) == 2


def test_a_class_has_its_attributes() -> None:
    assert TASK.targets(torch.tensor([[0, 1], [2, 0]]), 3).tolist() == [[[1, 0], [0, 1]], [[1, 1], [1, 0]]]


def test_classes_that_the_data_set_does_not_have_are_passed_over() -> None:
    far = MultiLabel(attributes=((0, 7), (9,)))
    assert far.targets(torch.tensor([0, 1]), 2).tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize("attributes", [(), ((-1,),)])
def test_attributes_are_of_classes_that_can_be(attributes: tuple[tuple[int, ...], ...]) -> None:
    """A negative number would stand for a class counted from the end."""
    with pytest.raises(ValidationError, match="attributes"):
        MultiLabel(attributes=attributes)


def test_the_loss_is_the_mean_over_the_attributes() -> None:
    """Probabilities 1/2 and 3/4 against (1, 0): (log 2 + log 4) / 2."""
    outputs = torch.tensor([[0.0, math.log(3)]])
    expected = (math.log(2) + math.log(4)) / 2
    assert float(TASK.loss(outputs, torch.tensor([[1.0, 0.0]]))) == pytest.approx(expected)


def test_each_attribute_counts_by_itself() -> None:
    outputs = torch.tensor([[2.0, -1.0], [2.0, 1.0], [-0.5, 3.0]])
    assert TASK.correct(outputs, torch.tensor([[1.0, 0.0]] * 3)).tolist() == [1.0, 0.5, 0.0]


def test_the_class_of_the_nearest_attributes_is_found() -> None:
    variables = torch.tensor([[3.0, -3.0], [-3.0, 3.0], [3.0, 3.0], [2.0, 0.5], [0.0, 0.0]])
    assert TASK.found_labels(variables, 3).tolist() == [0, 1, 2, 2, 0], "of several the first"
    torch.testing.assert_close(TASK.relaxed(torch.tensor([[0.0, math.log(3)]])), torch.tensor([[0.5, 0.75]]))


def test_classes_that_the_data_set_does_not_have_are_refused() -> None:
    MultiLabel(attributes=((0, 2),)).check_classes(3)
    with pytest.raises(ValueError, match="name class 3; the data set has classes 0 to 2"):
        MultiLabel(attributes=((0, 2), (3, 9))).check_classes(3)
