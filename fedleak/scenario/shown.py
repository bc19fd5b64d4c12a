"""A checked file with every default written out, also those that results and fingerprints leave out."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from fedleak.scenario.reader import Raw, dump_yaml
from fedleak.scenario.schema import Scenario


def scenario_with_defaults(scenario: Scenario) -> str:
    """The scenario as YAML with every default; it loads as the same scenario. The budget is already applied."""
    raw = every_setting(scenario, without=("budgets",))
    if scenario.budget is not None:
        raw["budgets"] = {scenario.budget: {}}
    return dump_yaml(raw)


def every_setting(block: BaseModel, *, without: tuple[str, ...] = ()) -> Raw:
    """All settings of a block as YAML has them; ``model_dump`` leaves out some that have their defaults."""
    fields = type(block).model_fields
    return {
        field.serialization_alias or name: _plain(getattr(block, name))
        for name, field in fields.items()
        if name not in without
    }


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return every_setting(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return to_jsonable_python(value)
