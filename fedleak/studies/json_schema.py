"""JSON Schema of a YAML file, scenario or study, for editors; ``scenarios/schema.json`` is its text."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from fedleak.component import discover
from fedleak.scenario.schema import Scenario
from fedleak.studies.claims.base import Claim
from fedleak.studies.matrix import RESERVED
from fedleak.studies.schema import StudySettings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE = "#/$defs/{model}"
Schema = dict[str, Any]


def file_schema() -> Schema:
    """One schema for scenarios and studies; only a file with a matrix may leave settings to it."""
    scenario, study = _described(Scenario), _described(StudySettings)
    properties = scenario["properties"] | study["properties"]
    properties["matrix"] |= _matrix()
    properties["claims"]["items"] = {"anyOf": [properties["claims"]["items"], _short_claim()]}
    required = [name for name in scenario["required"] if name != "name"]  # the file's name by default
    return {
        "$schema": DIALECT,
        "title": "fedleak scenario or study",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "if": {"not": {"required": ["matrix"]}},
        "then": {"required": required},
        "$defs": scenario["$defs"] | study["$defs"],
    }


def schema_text() -> str:
    """The schema as the text of a JSON file."""
    return json.dumps(file_schema(), indent=1, ensure_ascii=False) + "\n"


def _described(model: type[BaseModel]) -> Schema:
    """The model's schema, where a property whose block has the same description repeats it."""
    schema = model.model_json_schema(ref_template=REFERENCE)
    blocks = schema["$defs"]
    for block in (schema, *blocks.values()):
        for item in block.get("properties", {}).values():
            target = item.get("$ref", "").rpartition("/")[2]
            if target and "description" not in item:
                item["description"] = blocks[target]["description"].split("\n")[0]
    return schema


def _matrix() -> Schema:
    levels: Schema = {"type": ["array", "object"], "minItems": 1, "minProperties": 1}
    points = {"type": "array", "items": {"type": "object"}, "description": "Points, as axis: value."}
    return {"additionalProperties": levels, "properties": dict.fromkeys(RESERVED, points)}


def _short_claim() -> Schema:
    """``{less: {...}, says: ...}``, short for ``{kind: less, says: ..., ...}``."""
    kinds = discover(Claim, "fedleak.studies.claims")  # type: ignore[type-abstract]
    blocks = {
        kind: {"$ref": REFERENCE.format(model=cls.__name__), "description": cls.summary()}
        for kind, cls in kinds.items()
    }
    says = {"type": "string", "description": Claim.model_fields["says"].description}
    return {
        "type": "object",
        "properties": {"says": says, **blocks},
        "additionalProperties": False,
        "oneOf": [{"required": [kind]} for kind in kinds],
    }
