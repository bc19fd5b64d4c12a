"""Counts from a bias gradient: where the size of the gradient is known, where it is told, and where it is not."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from fedleak.attacks.inversion.settings import LocalTrainingGuess
from fedleak.attacks.labels.counting import Estimator
from fedleak.attacks.labels.solved import SolvedCounts
from fedleak.client.local_sgd import LocalSgd
from fedleak.threat import SharedUpdate

TOTAL = 6
GRADIENT = torch.tensor([1 / 3 - 3 / 6, 1 / 3 - 1 / 6, 1 / 3 - 2 / 6])
"""Of three images of class 0, one of class 1, two of class 2, where every softmax is uniform."""
UNIFORM = Estimator(torch.full((3,), TOTAL / 3, dtype=torch.float64), -torch.eye(3, dtype=torch.float64))
"""``n = B / 3 - B g``."""


class Plain(SolvedCounts):
    """With nothing beside the base."""

    kind: Literal["plain"] = "plain"

    def infer(self, update: SharedUpdate, *, count: int) -> torch.Tensor:
        return self.solved(update, UNIFORM, update.tensors["b"], count)


def counts(
    gradient: torch.Tensor, protocol: Literal["fedsgd", "fedavg"], guess: LocalTrainingGuess | None
) -> list[int]:
    update = SharedUpdate({"b": gradient}, protocol, round=1, client=1, samples=TOTAL)
    return Plain(local_training=guess).infer(update, count=TOTAL).bincount(minlength=3).tolist()


def test_a_gradient_has_its_own_size() -> None:
    assert counts(GRADIENT, "fedsgd", None) == [3, 1, 2]
    assert counts(GRADIENT, "fedsgd", LocalTrainingGuess(learning_rate=0.1, epochs=9)) == [3, 1, 2], "not asked"


@pytest.mark.parametrize(
    ("guess", "factor"),
    [
        ({"learning_rate": 0.1}, 0.1),
        ({"learning_rate": 0.1, "epochs": 2}, 0.2),
        ({"learning_rate": 0.1, "epochs": 2, "batch_size": 2}, 0.6),
        ({"learning_rate": 0.1, "epochs": 2, "sgd": LocalSgd(momentum=0.5)}, 0.25),
    ],
)
def test_a_delta_is_divided_by_how_far_its_steps_went(guess: dict[str, object], factor: float) -> None:
    """Two steps under momentum of a half go 1 and 1.5 far."""
    assert counts(factor * GRADIENT, "fedavg", LocalTrainingGuess(**guess)) == [3, 1, 2]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "guess",
    [None, LocalTrainingGuess(learning_rate="estimated"), LocalTrainingGuess(learning_rate=(0.1, 0.2))],
)
@pytest.mark.parametrize("factor", [1e-4, 1.0, 50.0])
def test_without_a_size_some_class_is_taken_to_be_empty(guess: LocalTrainingGuess | None, factor: float) -> None:
    """Four of class 0, none of class 1, two of class 2: whatever the factor."""
    gradient = torch.tensor([1 / 3 - 4 / 6, 1 / 3, 1 / 3 - 2 / 6])
    assert counts(factor * gradient, "fedavg", guess) == [4, 0, 2]
