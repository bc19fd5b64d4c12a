"""The JSON Schema accepts what fedleak accepts, describes every setting, and is the file that ships."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fedleak.scenario.file import load_scenario, to_yaml
from fedleak.scenario.reader import parse_yaml, read_yaml
from fedleak.studies.json_schema import file_schema, schema_text
from tests.scenarios import command, tiny
from tests.studies.builders import study

FOLDER = Path(__file__).parents[2] / "scenarios"
FILES = sorted(FOLDER.rglob("*.yaml"))
UNITS = (
    "bits? bytes? channels? classes cores? cpus db decay difference digits dimensions distance draws epochs? exponent "
    "factor features fraction gib gpus? heads? images? iterations? layers? letters level minutes momentum multiple "
    "norm numbers? pairs? passes patches pixels? probability rate restarts rounds? samples? seconds seed severity "
    "shards share slope standard steps? threads? times tokens? trials units? updates version victims weights? without"
).replace(" ", "|")
"""What numbers count or measure, also without a dimension: a share, a factor, a seed."""
SCHEMA = file_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def _properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, list):
        for part in schema:
            yield from _properties(part, path)
    elif isinstance(schema, dict):
        for name, item in schema.get("properties", {}).items():
            yield f"{path}.{name}", item
            yield from _properties(item, f"{path}.{name}")
        for key, part in schema.items():
            if key not in ("properties", "default"):
                yield from _properties(part, f"{path}.{key}")


def test_it_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_property_is_described() -> None:
    found = dict(_properties(SCHEMA))
    assert len(found) > 600
    assert [path for path, item in found.items() if len(item.get("description", "")) < 10] == []


def test_every_property_has_a_default_or_is_required() -> None:
    by_file = {"name"} | set(SCHEMA["then"]["required"])
    assert [
        f"{block}.{name}"
        for block, name, item, required in _settings(SCHEMA)
        if "default" not in item and not required and not (block == "file" and name in by_file)
    ] == []
    assert "(default:" in SCHEMA["properties"]["name"]["description"].replace("\n", " ")


def test_a_default_of_null_is_explained() -> None:
    told = re.compile(r"default|null|none", re.I)
    absent = [(block, name, item) for block, name, item, _ in _settings(SCHEMA) if item.get("default", 0) is None]
    assert len(absent) > 50
    unexplained = {f"{block}.{name}" for block, name, item in absent if not told.search(item["description"])}
    assert unexplained == set()


def test_every_number_says_its_unit() -> None:
    unit = re.compile(rf"\b({UNITS})\b", re.I)
    numbers = [(block, name, item) for block, name, item, _ in _settings(SCHEMA) if _is_number(item)]
    assert len(numbers) > 300
    labels = {"where", "control", "left", "right", "value", "values", "low", "high"}  # of a matrix or metric
    silent = [(b, n, i["description"]) for b, n, i in numbers if n not in labels and not unit.search(i["description"])]
    assert silent == []


def _settings(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], bool]]:
    """Block, name and schema of every setting, and whether it must be given."""
    for block, content in {"file": schema, **schema["$defs"]}.items():
        for name, item in content.get("properties", {}).items():
            yield block, name, item, name in content.get("required", ())


def _is_number(item: dict[str, Any]) -> bool:
    parts = [part for key in ("anyOf", "oneOf", "prefixItems") for part in item.get(key, ())]
    parts += [item[key] for key in ("items", "additionalProperties") if isinstance(item.get(key), dict)]
    return item.get("type") in ("integer", "number") or any(_is_number(part) for part in parts)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_shipped_file_is_valid_and_names_the_schema(file: Path) -> None:
    errors = [f"{error.json_path}: {error.message[:200]}" for error in VALIDATOR.iter_errors(read_yaml(file))]
    assert errors == []
    first = file.read_text("utf-8").split("\n")[0]
    up = "../" * (len(file.relative_to(FOLDER).parts) - 1) or "./"
    assert first == f"# yaml-language-server: $schema={up}schema.json"


def test_the_file_that_ships_is_current() -> None:
    shipped = (FOLDER / "schema.json").read_text("utf-8")
    assert shipped == schema_text(), "run: fedleak schema > scenarios/schema.json"


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(capsys, "schema").out == schema_text()


def test_resolved_files_and_studies_are_valid() -> None:
    VALIDATOR.validate(tiny())
    VALIDATOR.validate(parse_yaml(to_yaml(load_scenario(tiny(), budget="long"))))
    VALIDATOR.validate(study())
    VALIDATOR.validate(tiny() | {"federation": {"engine": "serial"}, "adversary": {"victims": {"clients": "all"}}})


@pytest.mark.parametrize(
    "changes",
    [
        {"federaton": {}}, {"seed": "3"}, {"seed": True}, {"seed": 2**63}, {"model": "lenett"}, {"model": "factory"},
        {"federation": {"rounds": 10**9}}, {"model": {"kind": "resnet", "depth": 19}}, {"attacks": []},
        {"claims": [{"less": {}}]}, {"claims": [{"says": "nothing"}]}, {"matrix": {"seed": 3}}, {"seeds": [-1]},
        {"federation": {"server": {"learning_rate": "0.1"}}}, {"dataset": {"kind": "image_folder"}},
    ],
    ids=str,
)  # fmt: skip
def test_what_fedleak_refuses_is_invalid(changes: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(tiny() | changes)


def test_a_file_without_a_matrix_must_be_complete() -> None:
    for name in ("dataset", "model", "attacks"):
        rest = {key: value for key, value in tiny().items() if key != name}
        assert not VALIDATOR.is_valid(rest)
        assert VALIDATOR.is_valid(rest | {"matrix": {name: ["lti"]}})
    assert VALIDATOR.is_valid({key: value for key, value in tiny().items() if key != "name"})
