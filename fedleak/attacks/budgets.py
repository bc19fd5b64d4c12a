"""Budgets of attacks: how much work they may do, and which settings are below an attack's defaults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pydantic import BaseModel

from fedleak.attacks.base import Attack

BUDGETS = frozenset(
    {"iterations", "weight_iterations", "inner_steps", "restarts", "epochs", "patience", "identification_pairs"}
)
"""Names of the settings that are budgets, in attacks and in their blocks: with less of it, an attack is weaker."""
ASSUMPTIONS = frozenset({"local_training"})
"""Blocks about the clients, whose epochs and steps are no budgets of the attack."""


class Reduction(NamedTuple):
    """A budget below its default; ``setting`` is a path such as ``training.epochs``."""

    setting: str
    value: int
    default: int


def reduced_budgets(attack: Attack) -> tuple[Reduction, ...]:
    """The budgets that are smaller than the defaults of the attack's kind."""
    return tuple(_reduced(attack, None, ""))


def _reduced(block: BaseModel, usual: BaseModel | None, path: str) -> Iterator[Reduction]:
    """Reductions in a block of settings against its default, or against the defaults of its class."""
    for name, field in type(block).model_fields.items():
        value, place = getattr(block, name), f"{path}{name}"
        default = field.get_default(call_default_factory=True) if usual is None else getattr(usual, name)
        if name in BUDGETS and isinstance(value, int) and isinstance(default, int):
            if value < default:
                yield Reduction(place, value, default)
        elif isinstance(value, BaseModel) and name not in ASSUMPTIONS:
            yield from _reduced(value, default if type(default) is type(value) else None, f"{place}.")
