"""Loading a scenario from a YAML file with command-line overrides; errors name the YAML path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from fedleak.errors import InputError, nearest, shorten
from fedleak.scenario.budgets import apply_budget
from fedleak.scenario.checks import check_scenario
from fedleak.scenario.errors import known_keys, translate
from fedleak.scenario.loader import RefusedYamlError
from fedleak.scenario.reader import Raw, detail, dump_yaml, parse_yaml, plain, read_yaml
from fedleak.scenario.schema import Scenario
from fedleak.server.staleness.trace import FOLDER

STUDY_KEYS = ("matrix", "seeds", "claims", "published", "figure", "table", "resources", "costs")
"""Keys of a study file in addition to its scenario: the fields of ``studies.schema.StudySettings``."""


def load_scenario(
    source: Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    budget: str | None = None,
    seed: int | None = None,
    device: str | None = None,
    folder: Path | None = None,
    attacks: Sequence[Mapping[str, Any]] | None = None,
) -> Scenario:
    """Read and check a scenario.

    Args:
        source: a YAML file, or its content.
        overrides: ``path=value`` with dots between keys and YAML for the value; list items by number or ``id``.
        budget: name of one of the scenario's ``budgets``, applied before ``overrides`` (default: its key ``budget``).
        seed, device: shorthands for overriding these settings.
        folder: folder of the files that the scenario names (default: the folder of the scenario).
        attacks: attacks instead of those in the file; ``overrides`` may change them.

    Raises:
        InputError: with the YAML path, the value and what is allowed.
    """
    raw = read_yaml(source) if isinstance(source, Path) else plain(source)
    _refuse_study(raw, source)
    parsed = [parse_override(override) for override in overrides]
    if attacks is not None:
        raw["attacks"] = plain({"attacks": list(attacks)})["attacks"]
    for path, value in apply_budget(raw, budget, parsed, owner="scenario", set_path=set_path):
        set_path(raw, path, value)
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


def to_yaml(scenario: Scenario) -> str:
    """The resolved scenario with every default written out; the budget is already applied, so it changes nothing."""
    raw = scenario.model_dump(mode="json", exclude={"budgets"})
    if scenario.budget is not None:
        raw["budgets"] = {scenario.budget: {}}
    return dump_yaml(raw)


def parse_override(override: str) -> tuple[str, Any]:
    """The two sides of ``path=value``, the value read as YAML.

    Raises:
        InputError: if it has another form, or the value is not valid YAML.
    """
    path, separator, text = override.partition("=")
    if not separator or not path.strip():
        raise InputError("--set", override, "expected path=value, such as federation.rounds=3")
    path = path.strip()
    try:
        return path, parse_yaml(text)
    except RefusedYamlError as error:
        raise InputError(".".join(filter(None, (path, error.path))), error.value, f"{error.reason} (--set)") from error
    except yaml.YAMLError as error:
        raise InputError("--set", override, f"the value is not valid YAML ({detail(error)})") from error


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
            raise _not_a_mapping(path, value, child, parents[: depth + 1])
        node[place] = child
        node = child
    if isinstance(node, list):
        node[_list_index(node, last, path)] = value
    elif last == "kind" and isinstance(node.get(last), str) and node[last] != value:
        node.clear()  # the settings of the old kind do not apply
        node[last] = value
    else:
        node[last] = value


def _not_a_mapping(path: str, value: object, found: object, parents: Sequence[str]) -> InputError:
    others = [key for key in known_keys(parents, Scenario) if key != parents[-1]]
    reason = f"{'.'.join(parents)} is {shorten(found)}, which has no settings; {nearest(parents[-1], others)}"
    return InputError(path, value, reason.rstrip("; "))


def _list_index(items: list[Any], key: str, path: str) -> int:
    names = [_item_name(item) for item in items]
    if key in names:
        return names.index(key)
    if key.isdecimal() and len(key) < 9 and int(key) < len(items):
        return int(key)
    raise InputError(path, key, f"expected an item's number below {len(items)} or one of: {', '.join(names)}")


def _item_name(item: Any) -> str:
    return str(item.get("id") or item.get("kind")) if isinstance(item, dict) else str(item)
