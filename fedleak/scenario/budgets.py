"""Budgets: named sets of overrides in a scenario or study, one of which may be chosen."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from fedleak.errors import InputError, nearest
from fedleak.scenario.reader import Raw

Setter = Callable[[Raw, str, Any], None]
OWN_KEYS = ("budget", "budgets")


def apply_budget(
    raw: Raw, budget: str | None, overrides: Sequence[tuple[str, Any]], *, owner: str, set_path: Setter
) -> list[tuple[str, Any]]:
    """Apply the chosen budget of ``raw`` in place; what is left of ``budgets`` is that it was applied.

    Args:
        raw: the content of a scenario or study.
        budget: the budget of ``--budget``; if None, that of ``--set budget=...``, or else that in ``raw``.
        overrides: path and value of every ``--set``.
        owner: what has the budgets, for messages.
        set_path: sets the value at a path.

    Returns:
        The overrides that remain to be applied, after the budget.

    Raises:
        InputError: if there is no such budget, two are chosen, or an override or budget changes budgets.
    """
    if "budgets" in raw:
        raw["budgets"] = named_budgets(raw["budgets"])
    rest = [(path, value) for path, value in overrides if path != "budget"]
    asked = [value for path, value in overrides if path == "budget"]
    if budget is not None and any(value != budget for value in asked):
        raise InputError("--set", f"budget={asked[-1]}", f"the command line also says --budget {budget}; keep one")
    for path, value in rest:
        _refuse_budgets(path, value)
    option = "--budget" if budget is not None else "budget"
    chosen = budget if budget is not None else asked[-1] if asked else raw.get("budget")
    raw.pop("budget", None)
    if chosen is not None:
        for path, value in _settings(raw, chosen, option, owner).items():
            _refuse_budgets(str(path), value)
            set_path(raw, str(path), value)
        raw |= {"budget": chosen, "budgets": {chosen: {}}}
    return rest


def named_budgets(budgets: Any) -> Any:
    """Budgets with their names as text: YAML reads ``1:`` as a number and ``on:`` as true."""
    if not isinstance(budgets, dict):
        return budgets
    return {name if isinstance(name, str) else json.dumps(name, default=str): each for name, each in budgets.items()}


def _settings(raw: Raw, budget: object, option: str, owner: str) -> dict[Any, Any]:
    budgets = raw.get("budgets") or {}
    if not isinstance(budgets, dict):
        raise InputError("budgets", budgets, "expected a mapping of name: {path: value}")
    if not isinstance(budget, str) or budget not in budgets:
        known = [str(name) for name in budgets]
        hint = nearest(str(budget), known)
        raise InputError(option, budget, f"{hint}the {owner}'s budgets: {', '.join(known) or 'none'}")
    settings = budgets[budget]
    if not isinstance(settings, dict):
        raise InputError(f"budgets.{budget}", settings, "expected a mapping of path: value")
    return settings


def _refuse_budgets(path: str, value: object) -> None:
    if path.split(".")[0] in OWN_KEYS:
        raise InputError(path, value, "budgets are applied before overrides: override the setting itself")
