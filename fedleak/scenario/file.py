"""Loading a scenario from a YAML file with command-line overrides; errors name the YAML path."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from fedleak.errors import InputError, nearest
from fedleak.scenario.checks import check_scenario
from fedleak.scenario.errors import translate
from fedleak.scenario.schema import Scenario
from fedleak.server.staleness.trace import FOLDER

Raw = dict[str, Any]

STUDY_KEYS = ("matrix", "seeds", "claims", "published", "figure", "table", "resources", "costs")
"""Keys of a study file in addition to its scenario: the fields of ``studies.schema.StudySettings``."""

NOT_YAML = (yaml.YAMLError, ValueError, AttributeError, RecursionError)
"""Errors of the safe loader, including Python errors from its constructors of numbers and dates."""


def load_scenario(
    source: Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    budget: str | None = None,
    seed: int | None = None,
    device: str | None = None,
    folder: Path | None = None,
) -> Scenario:
    """Read and check a scenario.

    Args:
        source: a YAML file, or its content.
        overrides: ``path=value`` with dots between keys and YAML for the value; list items by number or ``id``.
        budget: name of one of the scenario's ``budgets``, applied before ``overrides``.
        seed, device: shorthands for overriding these settings.
        folder: folder of the files that the scenario names (default: the folder of the scenario).

    Raises:
        InputError: with the YAML path, the value and what is allowed.
    """
    raw = read_yaml(source) if isinstance(source, Path) else copy.deepcopy(dict(source))
    _refuse_study(raw, source)
    if "budgets" in raw:
        raw["budgets"] = named_budgets(raw["budgets"])
    _apply_budget(raw, budget)
    for override in overrides:
        set_path(raw, *parse_override(override))
    if seed is not None:
        raw["seed"] = seed
    if device is not None:
        raw["device"] = device
    if isinstance(source, Path):
        raw.setdefault("name", source.stem)
        folder = folder or source.parent
    try:
        scenario = Scenario.model_validate(raw, context={FOLDER: folder})
    except ValidationError as error:
        raise translate(error.errors(), raw) from None
    check_scenario(scenario)
    _check_text(scenario)
    return scenario


def _refuse_study(raw: Raw, source: Path | Mapping[str, Any]) -> None:
    found = [key for key in STUDY_KEYS if key in raw]
    if found:
        name = str(source) if isinstance(source, Path) else raw.get("name")
        raise InputError("SCENARIO", name, f"it is a study (it has {', '.join(found)}); use 'fedleak study'")


def _check_text(scenario: Scenario) -> None:
    try:
        scenario.model_dump_json(exclude={"budgets"})
    except PydanticSerializationError as error:
        raise InputError("SCENARIO", scenario.name, f"a text in it cannot be written to a file ({error})") from error


def read_yaml(path: Path) -> Raw:
    """A YAML mapping, by the safe loader.

    Raises:
        InputError: if the file is missing, not YAML, or not a mapping.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("SCENARIO", str(path), "there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("SCENARIO", str(path), f"it cannot be read ({error})") from error
    except NOT_YAML as error:
        raise InputError("SCENARIO", str(path), f"it is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise InputError("SCENARIO", str(path), "expected a mapping of settings")
    return raw


def to_yaml(scenario: Scenario) -> str:
    """The resolved scenario with every default written out; the budget is already applied."""
    raw = scenario.model_dump(mode="json", exclude={"budgets"})
    return yaml.safe_dump(raw, sort_keys=False, allow_unicode=True)


def parse_override(override: str) -> tuple[str, Any]:
    """The two sides of ``path=value``, the value read as YAML.

    Raises:
        InputError: if it has another form, or the value is not valid YAML.
    """
    path, separator, text = override.partition("=")
    if not separator or not path.strip():
        raise InputError("--set", override, "expected path=value, such as federation.rounds=3")
    return path.strip(), _parse_value(override, text)


def set_path(raw: Raw, path: str, value: Any) -> None:
    """Set the value at a dotted path of ``raw`` in place; missing mappings are created.

    Raises:
        InputError: if the path leads through something that is neither mapping nor list, or to no list item.
    """
    *parents, last = path.split(".")
    if not all((*parents, last)):
        raise InputError("--set", path, "expected keys with single dots between them, such as federation.rounds")
    node: Any = raw
    for depth, key in enumerate(parents):
        place: Any = _list_index(node, key, path) if isinstance(node, list) else key
        child = node[place] if isinstance(node, list) else node.get(place)
        if child is None or isinstance(child, str):
            child = {} if child is None else {"kind": child}  # a component given by its name alone
        if not isinstance(child, dict | list):
            raise InputError(path, child, f"{'.'.join(parents[: depth + 1])} is not a mapping")
        node[place] = child
        node = child
    if isinstance(node, list):
        node[_list_index(node, last, path)] = value
    elif last == "kind" and isinstance(node.get(last), str) and node[last] != value:
        node.clear()  # the settings of the old kind do not apply
        node[last] = value
    else:
        node[last] = value


def _list_index(items: list[Any], key: str, path: str) -> int:
    names = [_item_name(item) for item in items]
    if key in names:
        return names.index(key)
    if key.isdecimal() and len(key) < 9 and int(key) < len(items):
        return int(key)
    raise InputError(path, key, f"expected an item's number below {len(items)} or one of: {', '.join(names)}")


def _item_name(item: Any) -> str:
    return str(item.get("id") or item.get("kind")) if isinstance(item, dict) else str(item)


def _parse_value(override: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except NOT_YAML as error:
        detail = " ".join(str(error).split())
        raise InputError("--set", override, f"the value is not valid YAML ({detail})") from error


def named_budgets(budgets: Any) -> Any:
    """Budgets with their names as text: YAML reads ``1:`` as a number and ``on:`` as true."""
    if not isinstance(budgets, dict):
        return budgets
    return {name if isinstance(name, str) else json.dumps(name, default=str): each for name, each in budgets.items()}


def _apply_budget(raw: Raw, budget: str | None) -> None:
    if budget is None:
        return
    budgets = raw.get("budgets") or {}
    if not isinstance(budgets, dict) or budget not in budgets:
        known = ", ".join(map(str, budgets)) if isinstance(budgets, dict) and budgets else "none"
        hint = nearest(budget, map(str, budgets)) if isinstance(budgets, dict) else ""
        raise InputError("--budget", budget, f"{hint}the scenario's budgets: {known}")
    if not isinstance(budgets[budget], dict):
        raise InputError(f"budgets.{budget}", budgets[budget], "expected a mapping of path: value")
    for path, value in budgets[budget].items():
        set_path(raw, str(path), copy.deepcopy(value))
    raw["budget"] = budget
