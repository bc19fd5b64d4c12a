from __future__ import annotations

import math

import pytest
import torch

from fedleak.tasks.classification import CLASSIFICATION, Classification

LABELS = torch.tensor([2, 0])


def test_there_is_an_output_for_each_class() -> None:
    assert Classification().outputs(7) == 7


def test_targets_are_the_labels_and_soft_ones_probabilities() -> None:
    assert CLASSIFICATION.targets(LABELS, 3) is LABELS
    assert CLASSIFICATION.soft_targets(LABELS, 3).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_the_loss_is_cross_entropy() -> None:
    """Logits (log 2, 0, 0): probabilities (1/2, 1/4, 1/4)."""
    outputs = torch.tensor([[math.log(2), 0, 0], [math.log(2), 0, 0]])
    assert CLASSIFICATION.loss(outputs, LABELS, reduction="none").tolist() == pytest.approx([math.log(4), math.log(2)])
    halves = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    expected = (0.5 * math.log(2) + 0.5 * math.log(4) + math.log(2)) / 2
    assert float(CLASSIFICATION.soft_loss(outputs, halves)) == pytest.approx(expected)


def test_the_largest_logit_is_right_or_wrong() -> None:
    outputs = torch.tensor([[0.0, 5.0, 1.0], [0.1, 0.0, 0.0]])
    assert CLASSIFICATION.correct(outputs, LABELS).tolist() == [0.0, 1.0]


def test_logits_become_probabilities_and_a_label() -> None:
    variables = torch.tensor([[[math.log(3), 0.0], [0.0, math.log(3)]]])
    torch.testing.assert_close(CLASSIFICATION.relaxed(variables), torch.tensor([[[0.75, 0.25], [0.25, 0.75]]]))
    assert CLASSIFICATION.found_labels(variables, 2).tolist() == [[0, 1]]
