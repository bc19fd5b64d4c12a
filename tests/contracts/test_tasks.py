"""What every task promises to clients and to attacks that search for targets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from fedleak.component import choice
from fedleak.families import TASKS, kinds
from fedleak.tasks.base import LearningTask, Reduction
from fedleak.tasks.classification import Classification
from fedleak.tasks.regression import Regression

CLASSES = 4
REQUIRED: dict[str, Any] = {"multi_label": {"attributes": [[0, 1], [0, 2], [3]]}}
"""Settings of the kinds that have some without a default."""
EVERY: list[Any] = [cls.model_validate(REQUIRED.get(kind, {})) for kind, cls in kinds("task").items()]


def drawn(task: LearningTask, count: int = 5) -> torch.Tensor:
    """Outputs of a network ``(count, D)``."""
    return torch.randn(count, task.outputs(CLASSES), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("task", EVERY, ids=lambda task: task.kind)
def test_soft_targets_have_a_value_for_every_output(task: LearningTask) -> None:
    labels = torch.tensor([[0, 1, 3], [2, 2, 0]])
    soft = task.soft_targets(labels, CLASSES)
    assert (soft.shape, soft.dtype) == ((2, 3, task.outputs(CLASSES)), torch.float32)
    assert soft.min() >= 0
    assert soft.max() <= 1
    assert task.targets(labels, CLASSES).shape[:2] == (2, 3)


@pytest.mark.parametrize("task", EVERY, ids=lambda task: task.kind)
def test_a_hard_target_and_its_soft_form_have_the_same_loss(task: LearningTask) -> None:
    outputs, labels = drawn(task), torch.tensor([0, 1, 2, 3, 1])
    hard, soft = task.targets(labels, CLASSES), task.soft_targets(labels, CLASSES)
    torch.testing.assert_close(task.loss(outputs, soft), task.loss(outputs, hard))
    torch.testing.assert_close(task.soft_loss(outputs, soft), task.loss(outputs, hard))


@pytest.mark.parametrize("task", EVERY, ids=lambda task: task.kind)
def test_reductions_are_those_of_the_losses_of_single_images(task: LearningTask) -> None:
    outputs, targets = drawn(task), task.targets(torch.tensor([0, 1, 2, 3, 1]), CLASSES)
    single = task.loss(outputs, targets, reduction="none")
    assert single.shape == (5,)
    expected: dict[Reduction, torch.Tensor] = {"mean": single.mean(), "sum": single.sum()}
    for reduction, value in expected.items():
        torch.testing.assert_close(task.loss(outputs, targets, reduction=reduction), value)


@pytest.mark.parametrize("task", EVERY, ids=lambda task: task.kind)
def test_a_search_that_ends_at_a_label_finds_it(task: LearningTask) -> None:
    """Free variables whose soft targets are those of the labels, up to what a sigmoid or softmax reaches."""
    labels = torch.arange(CLASSES)
    soft = task.soft_targets(labels, CLASSES)
    variables = soft if task.kind == "regression" else 40 * (soft - 0.5)
    torch.testing.assert_close(task.relaxed(variables), soft)
    found = task.found_labels(variables, CLASSES)
    assert (found.tolist(), found.dtype) == (labels.tolist(), torch.int64)


@pytest.mark.parametrize("task", EVERY, ids=lambda task: task.kind)
def test_the_soft_loss_can_be_differentiated_twice_and_side_by_side(task: LearningTask) -> None:
    soft = task.soft_targets(torch.tensor([1, 2]), CLASSES)

    def norm_of_gradient(outputs: torch.Tensor) -> torch.Tensor:
        gradient: torch.Tensor = torch.func.grad(lambda o: task.soft_loss(o, soft))(outputs)
        return gradient.square().sum()

    several = torch.stack([drawn(task, 2), 2 * drawn(task, 2)])
    second = torch.func.vmap(torch.func.grad(norm_of_gradient))(several)
    assert second.shape == several.shape
    assert second.isfinite().all()
    assert second.abs().sum() > 0


@pytest.mark.parametrize("task", EVERY, ids=lambda task: task.kind)
def test_how_right_an_output_is_is_a_share(task: LearningTask) -> None:
    targets = task.targets(torch.tensor([0, 1, 2, 3, 1]), CLASSES)
    right = task.correct(drawn(task), targets)
    assert right.shape == (5,)
    assert ((right >= 0) & (right <= 1)).all()


def test_a_task_is_chosen_by_its_kind() -> None:
    adapter: TypeAdapter[LearningTask] = TypeAdapter(choice(*TASKS))
    assert adapter.validate_python("classification") == Classification()
    assert adapter.validate_python({"kind": "regression", "tolerance": 0.2}) == Regression(tolerance=0.2)


@pytest.mark.parametrize("task", EVERY, ids=lambda task: task.kind)
def test_chance_is_what_a_constant_answer_reaches_at_best(task: LearningTask) -> None:
    """No constant output is right more often on equally frequent classes, and some output nearly is."""
    targets = task.targets(torch.arange(CLASSES), CLASSES)
    grid = torch.linspace(-1, 2, 301)[:, None].expand(-1, task.outputs(CLASSES))
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * task.outputs(CLASSES))
    constants = torch.cat([grid, corners.reshape(-1, task.outputs(CLASSES)), torch.eye(task.outputs(CLASSES))])
    best = max(float(task.correct(c.expand(CLASSES, -1), targets).mean()) for c in constants)
    assert best == pytest.approx(task.chance(CLASSES))
