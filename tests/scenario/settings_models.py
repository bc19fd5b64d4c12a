"""Every model and number that a scenario or study file can reach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from fedleak.scenario.schema import Scenario
from fedleak.studies.schema import StudySettings


def every_model() -> list[type[BaseModel]]:
    """Models by which files are checked, of all families."""
    found: dict[type[BaseModel], None] = {}
    pending: list[type[BaseModel]] = [Scenario, StudySettings]
    while pending:
        model = pending.pop()
        if model not in found:
            found[model] = None
            pending += [m for field in model.model_fields.values() for m in _models(field.annotation)]
    return list(found)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def numbers(model: type[BaseModel]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name of the field and core schema of every number, boolean and literal in a model's own fields."""
    for name, field in _fields(model.__pydantic_core_schema__)["fields"].items():
        for leaf in _leaves(field["schema"]):
            yield name, leaf


def _fields(schema: Any) -> Any:
    while schema["type"] != "model-fields":
        schema = schema["schema"]
    return schema


def _leaves(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, list | tuple):
        for part in schema:
            yield from _leaves(part)
    if not isinstance(schema, dict) or schema.get("type") in ("model", "definition-ref"):
        return
    if schema.get("type") in ("int", "float", "bool", "literal") or "function" in schema:
        yield schema
    if schema.get("type") == "literal" or _checks_literals(schema):
        return
    for key, part in schema.items():
        if key not in ("metadata", "default", "serialization"):
            yield from _leaves(part)


def _checks_literals(schema: dict[str, Any]) -> bool:
    function = schema.get("function")
    return isinstance(function, dict) and type(function.get("function")).__name__ == "_AsListed"
