"""Translation of pydantic's validation errors: the YAML path, the value and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from fedleak.component import Component, every_component
from fedleak.errors import InputError, InputErrors, nearest, shorten
from fedleak.scenario.reader import parse_yaml
from fedleak.scenario.schema import Scenario

Location = tuple[int | str, ...]

WORDS = {
    "tuple_type": "expected a list",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "model_attributes_type": "expected a mapping",
    "union_tag_not_found": "expected a kind, or a mapping with one",
    "missing": "this setting is required",
    "invalid_key": "keys must be names",
}


def translate(details: list[ErrorDetails], raw: Mapping[str, Any], *, root: type[BaseModel] = Scenario) -> InputErrors:
    """All errors of one validation of ``raw`` as a ``root``, one for each YAML path."""
    merged: dict[str, InputError] = {}
    for detail in _innermost(details):
        error = _translate(detail, raw, root)
        known = merged.get(error.path)
        if known is not None:  # each branch of a union reports its own error
            other = error.allowed.removeprefix("expected ")
            error = InputError(error.path, known.value, f"{known.allowed}, or {other}")
        merged[error.path] = error
    parts = [path.split(".") for path in merged]
    outer = {".".join(part[:depth]) for part in parts for depth in range(len(part))}  # of another branch of a union
    kept = [error for path, error in merged.items() if path not in outer]
    return InputErrors(kept or list(merged.values()))


def _innermost(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Drop errors of a list or mapping that only follow from an error inside it."""
    outer = {detail["loc"][:depth] for detail in details for depth in range(len(detail["loc"]))}
    return [detail for detail in details if detail["loc"] not in outer]


def _translate(detail: ErrorDetails, raw: Mapping[str, Any], root: type[BaseModel]) -> InputError:
    location, context = detail["loc"], detail.get("ctx", {})
    path = _yaml_path(location, raw, keep_last=detail["type"] in {"missing", "extra_forbidden"})
    value = None if detail["type"] == "missing" else detail["input"]
    if detail["type"] == "union_tag_invalid":
        return _unknown_kind(".".join([*path, "kind"]), context["tag"], str(context["expected_tags"]))
    if detail["type"] == "literal_error":
        if location[-1] == "kind":
            holder = path[:-1] if path[-1] == "kind" else path  # a component given by its name alone has no such key
            return _unknown_kind(".".join([*holder, "kind"]), value, context["expected"])
        hint = nearest(str(value), _quoted(context["expected"]))
        return InputError(".".join(path), value, f"{hint}expected {context['expected']}")
    if detail["type"] == "extra_forbidden":
        keys = _keys_of_further_kind(location, raw) or known_keys(location, root)
        return InputError(".".join(path), value, f"unknown key; {nearest(path[-1], keys)}known: {', '.join(keys)}")
    if detail["type"] == "too_short":
        return InputError(".".join(path), value, f"expected at least {context['min_length']} items")
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    return InputError(".".join(path), value, WORDS.get(detail["type"], message) + _as_number(detail["type"], value))


def _as_number(error_type: str, value: object) -> str:
    """How to write a value so that it is the number that it looks like."""
    if error_type not in {"int_type", "float_type"} or not isinstance(value, str | float):
        return ""
    try:
        number = parse_yaml(value) if isinstance(value, str) else int(value)
    except yaml.YAMLError:
        return ""
    wanted = int if error_type == "int_type" else int | float
    is_number = isinstance(number, wanted) and not isinstance(number, bool)
    return f"; write {shorten(number)}" if is_number and number == (number if isinstance(value, str) else value) else ""


def _unknown_kind(path: str, kind: object, expected: str) -> InputError:
    known = _quoted(expected)
    return InputError(path, kind, f"{nearest(str(kind), known, cutoff=0.4)}known kinds: {', '.join(known)}")


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _yaml_path(location: Location, raw: Any, *, keep_last: bool) -> list[str]:
    """The YAML keys of a location, without the kinds and union branches that pydantic inserts between them."""
    path: list[str] = []
    node = raw
    for depth, part in enumerate(location):
        items = dict(enumerate(node)) if isinstance(node, list | tuple) else node
        if isinstance(items, Mapping) and part in items:
            node = items[part]
        elif not (keep_last and depth == len(location) - 1):
            continue
        path.append(str(part))
    return path


def known_keys(location: Sequence[int | str], root: type[BaseModel]) -> list[str]:
    """Allowed keys of the mapping that contains the last part of ``location``."""
    classes: set[type[BaseModel]] = {root}
    for part in location[:-1]:
        fields = [c.model_fields[part].annotation for c in classes if part in c.model_fields]
        if fields:
            classes = {model for annotation in fields for model in _models(annotation)}
        else:  # the kind of a component, or a part inserted by pydantic
            classes = {c for c in classes if issubclass(c, Component) and c.kind_name() == part} or classes
    return sorted({name for c in classes for name in c.model_fields})


def _keys_of_further_kind(location: Location, raw: Any) -> list[str]:
    """Allowed keys of a mapping whose kind is not shipped; none if it is."""
    node = raw
    for part in location[:-1]:
        items = dict(enumerate(node)) if isinstance(node, list | tuple) else node
        node = items.get(part) if isinstance(items, Mapping) else None
    kind = node.get("kind") if isinstance(node, Mapping) else None
    classes = [cls for cls in every_component() if kind and cls.kind_name() == kind]
    shipped = any(cls.__module__.startswith("fedleak.") for cls in classes)
    return [] if shipped else sorted({name for cls in classes for name in cls.model_fields})


def _models(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for argument in get_args(annotation) for model in _models(argument)}
