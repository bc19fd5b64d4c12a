"""From a YAML file and command-line overrides to a checked scenario, with errors that name the YAML path."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fedleak.errors import InputError, InputErrors
from fedleak.scenario import Scenario
from fedleak.scenario_checks import check_scenario

Raw = dict[str, Any]


def load_scenario(
    source: Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    budget: str | None = None,
    seed: int | None = None,
    device: str | None = None,
) -> Scenario:
    """Read and check a scenario.

    Args:
        source: a YAML file, or its content.
        overrides: ``path=value`` with dots between keys and YAML for the value; list items by number or ``id``.
        budget: name of one of the scenario's ``budgets``, applied before ``overrides``.
        seed, device: shorthands for overriding those.

    Raises:
        InputError: naming the YAML path, the value and what is allowed.
    """
    raw = read_yaml(source) if isinstance(source, Path) else copy.deepcopy(dict(source))
    _apply_budget(raw, budget)
    for override in overrides:
        path, separator, text = override.partition("=")
        if not separator or not path.strip():
            raise InputError("--set", override, "expected path=value, such as federation.rounds=3")
        set_path(raw, path.strip(), _parse_value(override, text))
    if seed is not None:
        raw["seed"] = seed
    if device is not None:
        raw["device"] = device
    if isinstance(source, Path):
        raw.setdefault("name", source.stem)
    try:
        scenario = Scenario.model_validate(raw)
    except ValidationError as error:
        raise InputErrors([_translate(detail) for detail in _innermost(error.errors())]) from None
    check_scenario(scenario)
    return scenario


def read_yaml(path: Path) -> Raw:
    """A YAML mapping, by the safe loader.

    Raises:
        InputError: if the file is missing, no YAML, or no mapping.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("SCENARIO", str(path), "there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("SCENARIO", str(path), f"it cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise InputError("SCENARIO", str(path), f"it is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise InputError("SCENARIO", str(path), "expected a mapping of settings")
    return raw


def to_yaml(scenario: Scenario) -> str:
    """The resolved scenario, every default written out; budgets are already applied."""
    raw = scenario.model_dump(mode="json", exclude={"budgets"})
    return yaml.safe_dump(raw, sort_keys=False, allow_unicode=True)


def set_path(raw: Raw, path: str, value: Any) -> None:
    """Set ``raw``'s value at a dotted path, in place; missing mappings are made on the way.

    Raises:
        InputError: if the path runs through something that is neither mapping nor list, or names no list item.
    """
    *parents, last = path.split(".")
    node: Any = raw
    for depth, key in enumerate(parents):
        child = node[_list_index(node, key, path)] if isinstance(node, list) else node.get(key)
        if isinstance(child, str) and depth + 1 <= len(parents):
            child = {"kind": child}  # a component given by its name alone
        if child is None:
            child = {}
        if not isinstance(child, dict | list):
            raise InputError(path, child, f"{'.'.join(parents[: depth + 1])} is no mapping")
        if isinstance(node, list):
            node[_list_index(node, key, path)] = child
        else:
            node[key] = child
        node = child
    if isinstance(node, list):
        node[_list_index(node, last, path)] = value
    elif last == "kind" and isinstance(node.get(last), str) and node[last] != value:
        node.clear()  # another kind has other settings
        node[last] = value
    else:
        node[last] = value


def _list_index(items: list[Any], key: str, path: str) -> int:
    names = [_item_name(item) for item in items]
    if key in names:
        return names.index(key)
    if key.isdigit() and int(key) < len(items):
        return int(key)
    raise InputError(path, key, f"expected an item's number below {len(items)} or one of: {', '.join(names)}")


def _item_name(item: Any) -> str:
    return str(item.get("id") or item.get("kind")) if isinstance(item, dict) else str(item)


def _parse_value(override: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError("--set", override, f"the value is not valid YAML ({error})") from error


def _apply_budget(raw: Raw, budget: str | None) -> None:
    if budget is None:
        return
    budgets = raw.get("budgets") or {}
    if not isinstance(budgets, dict) or budget not in budgets:
        known = ", ".join(budgets) if isinstance(budgets, dict) and budgets else "none"
        raise InputError("--budget", budget, f"the scenario's budgets: {known}")
    if not isinstance(budgets[budget], dict):
        raise InputError(f"budgets.{budget}", budgets[budget], "expected a mapping of path: value")
    for path, value in budgets[budget].items():
        set_path(raw, str(path), copy.deepcopy(value))
    raw["budget"] = budget


def _innermost(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out errors of a list or mapping that only follow from an error inside it."""
    return [d for d in details if not any(e["loc"][: len(d["loc"])] == d["loc"] for e in details if e is not d)]


def _translate(detail: ErrorDetails) -> InputError:
    """One of pydantic's errors in the user's words."""
    location = [str(part) for part in detail["loc"] if not str(part).startswith("function-")]
    context = detail.get("ctx", {})
    if detail["type"] == "union_tag_invalid":
        known = [name.strip("'") for name in str(context["expected_tags"]).split(", ")]
        tag = str(context["tag"])
        near = difflib.get_close_matches(tag, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return InputError(".".join([*location, "kind"]), tag, f"{hint}known kinds: {', '.join(known)}")
    path = ".".join(_without_tags(location))
    if detail["type"] == "extra_forbidden":
        return InputError(path, detail["input"], f"unknown key{_nearest_key(location)}")
    if detail["type"] == "missing":
        return InputError(path, None, "this setting is required")
    if detail["type"] == "union_tag_not_found":
        return InputError(path, detail["input"], "expected a kind, or a mapping with one")
    return InputError(path, detail["input"], detail["msg"].removeprefix("Value error, "))


def _without_tags(location: list[str]) -> list[str]:
    """Drop the kinds that pydantic puts into a path behind each component."""
    node: Any = None
    path: list[str] = []
    for part in location:
        if path and _is_component_field(path[-1], node) and not part.isdigit():
            node = None
            continue
        node = part if not part.isdigit() else node
        path.append(part)
    return path


_COMPONENT_FIELDS = frozenset({"dataset", "model", "partition", "shift", "attacks", "postprocess", "label_inference"})


def _is_component_field(part: str, previous: str | None) -> bool:
    return part in _COMPONENT_FIELDS or (part.isdigit() and previous in _COMPONENT_FIELDS)


def _nearest_key(location: list[str]) -> str:
    node: Any = Scenario
    for part in location[:-1]:
        fields = getattr(node, "model_fields", {})
        if part not in fields:
            return ""
        node = fields[part].annotation
    near = difflib.get_close_matches(location[-1], list(getattr(node, "model_fields", {})), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
