"""``validate --show`` prints every default, also those that fingerprints leave out, and its text is a scenario."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from fedleak.scenario.file import load_scenario
from fedleak.scenario.reader import parse_yaml
from fedleak.scenario.schema import Scenario
from fedleak.scenario.shown import every_setting, scenario_with_defaults
from tests.scenarios import tiny


def _missing(block: BaseModel, raw: Any, path: str = "") -> Iterator[str]:
    for name, field in type(block).model_fields.items():
        key, value = field.serialization_alias or name, getattr(block, name)
        if key not in raw:
            yield f"{path}{key}"
        elif isinstance(value, BaseModel):
            yield from _missing(value, raw[key], f"{path}{key}.")
        elif isinstance(value, tuple):
            for item, written in zip(value, raw[key], strict=True):
                if isinstance(item, BaseModel):
                    yield from _missing(item, written, f"{path}{key}.")


def test_every_field_is_there() -> None:
    scenario = load_scenario(tiny())
    assert list(_missing(scenario, every_setting(scenario))) == []
    left_out = list(_missing(scenario, scenario.model_dump(mode="json")))
    assert "federation.client.local_optimizer" in left_out, "as it is dumped for results, defaults are missing"


def test_it_loads_as_the_same_scenario() -> None:
    for budget in (None, "long"):
        scenario = load_scenario(tiny(), budget=budget)
        again = load_scenario(parse_yaml(scenario_with_defaults(scenario)))
        assert again.model_dump(exclude={"budgets"}) == scenario.model_dump(exclude={"budgets"})
        assert again.budget == budget


def test_a_field_with_another_name_in_yaml_keeps_it() -> None:
    search = {"kind": "inverting_gradients", "init": {"from": "lti"}}
    raw = tiny() | {"attacks": [{"kind": "lti", "hidden": 8}, search]}
    shown = every_setting(Scenario.model_validate(raw))
    assert shown["attacks"][1]["init"]["from"] == "lti"
