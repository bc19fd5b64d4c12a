from __future__ import annotations

from typing import Any

import pytest

from fedleak.attacks.base import Attack
from fedleak.attacks.budgets import BUDGETS, Reduction, reduced_budgets
from fedleak.families import kinds
from tests.scenarios import scenario


def attack(**settings: Any) -> Attack:
    """One attack of a scenario."""
    return scenario(attacks=[settings]).attacks[0]


def test_an_attack_with_its_defaults_is_not_reduced() -> None:
    assert reduced_budgets(attack(kind="inverting_gradients")) == ()


@pytest.mark.parametrize("kind", sorted(kinds("attack")))
def test_no_kind_is_below_its_own_defaults(kind: str) -> None:
    cls = kinds("attack")[kind]
    if not any(field.is_required() for field in cls.model_fields.values()):
        assert reduced_budgets(cls()) == ()


def test_what_is_below_the_default_of_the_kind_is_named() -> None:
    assert reduced_budgets(attack(kind="inverting_gradients", iterations=20)) == (Reduction("iterations", 20, 4000),)
    assert reduced_budgets(attack(kind="gradinversion", restarts=2)) == (Reduction("restarts", 2, 8),)
    assert reduced_budgets(attack(kind="dlg", iterations=300, optimiser={"kind": "lbfgs", "inner_steps": 5})) == (
        Reduction("optimiser.inner_steps", 5, 20),
    )


def test_more_than_the_default_is_no_reduction() -> None:
    assert reduced_budgets(attack(kind="dlg", iterations=3000)) == ()


def test_epochs_of_a_training_are_found_in_their_block() -> None:
    assert reduced_budgets(attack(kind="lti", training={"epochs": 2})) == (Reduction("training.epochs", 2, 60),)
    found = reduced_budgets(attack(kind="gias", training={"epochs": 1}, weight_iterations=0))
    assert {each.setting for each in found} == {"weight_iterations", "training.epochs"}


def test_assumptions_about_the_clients_are_no_budgets() -> None:
    guess = {"learning_rate": 0.1, "epochs": 1, "batch_size": 1}
    assert reduced_budgets(attack(kind="inverting_gradients", local_training=guess)) == ()


def test_every_name_is_a_setting_of_some_attack() -> None:
    found: set[str] = set()
    for cls in kinds("attack").values():
        blocks: list[Any] = [cls]
        while blocks:
            block = blocks.pop()
            for name, field in block.model_fields.items():
                found.add(name)
                default = field.get_default(call_default_factory=True)
                if hasattr(type(default), "model_fields"):
                    blocks.append(type(default))
    assert found >= BUDGETS
