"""What a kind may be told and what it must know, from its JSON Schema and its annotations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fedleak import limits
from fedleak.attacks.base import Attack
from fedleak.attacks.labels.base import LabelInference
from fedleak.component import Component
from fedleak.threat import CAPABILITIES, Capability, optional_capabilities, required_capabilities

LARGE = limits.RATE
MARKUP = re.compile(r"``([^`]*)``")


@dataclass(frozen=True)
class DescribedSetting:
    """One setting of a kind.

    Attributes:
        path: keys from the kind to the setting, with dots between them.
        default: its default as YAML reads it, or ``required``.
        allowed: bounds, or the values to choose from; empty if the type says it all.
        meaning: what it is, in words.
    """

    path: str
    default: str
    allowed: str
    meaning: str


@dataclass(frozen=True)
class DescribedNeed:
    """One capability that a kind asks of the adversary.

    Attributes:
        name: as it is granted.
        level: the threat level of the SoK that includes it, and whether it must be named.
        when: ``always``, or ``some settings``.
        meaning: what it carries.
    """

    name: str
    level: str
    when: str
    meaning: str


def settings_of(kind: type[Component]) -> list[DescribedSetting]:
    """Every setting of a kind but ``kind`` itself; those of a block stand below the block, with the kind's defaults."""
    schema = kind.model_json_schema()
    return list(_rows(schema, schema.get("$defs", {}), (), {}))


def needs_of(kind: type[Component]) -> list[DescribedNeed]:
    """The capabilities that an attack or label inference asks for; none for kinds of other families."""
    if issubclass(kind, Attack):
        methods = kind.entry_methods()
    elif issubclass(kind, LabelInference):
        methods = (kind.infer,)
    else:
        return []
    required = {cls for method in methods for cls in required_capabilities(method).values()}
    optional = {cls for method in methods for cls in optional_capabilities(method).values()} - required
    if issubclass(kind, Attack):
        required |= _by_default(kind)
        optional = (optional | {CAPABILITIES["update_version"]}) - required
    return [
        DescribedNeed(name, level_text(cls), "always" if cls in required else "some settings", cls.summary())
        for name, cls in CAPABILITIES.items()
        if cls in required or cls in optional
    ]


def level_text(capability: type[Capability]) -> str:
    """``level 3``, ``level 3, by name``, or ``derived`` for what cannot be granted."""
    if capability.level is None:
        return "derived"
    return f"level {capability.level}" + (", by name" if capability.by_name else "")


def _by_default(kind: type[Attack]) -> set[type[Capability]]:
    """What the attack asks for with its default settings, if it has any."""
    try:
        return set(kind().wanted())
    except ValidationError:  # a setting without a default
        return set()


def _rows(
    block: dict[str, Any], blocks: dict[str, Any], path: tuple[str, ...], given: dict[str, Any]
) -> Iterator[DescribedSetting]:
    """The settings of a block; ``given`` are defaults that the owner of the block sets."""
    required = block.get("required", ())
    for name, item in block.get("properties", {}).items():
        if name == "kind" and not path:
            continue
        default = given.get(name, item.get("default"))
        text = "required" if name in required and name not in given else as_yaml(default)
        inner = _block_of(item, blocks, default)
        here = (*path, name)
        nested = isinstance(default, dict) and inner is not None and bool(inner.get("properties"))
        described = item.get("description") or (inner or {}).get("description", "").split("\n")[0]
        meaning = MARKUP.sub(r"\1", described).replace("\n", " ")
        yield DescribedSetting(".".join(here), "" if nested else text, "" if nested else _allowed(item), meaning)
        if nested and inner is not None:
            yield from _rows(inner, blocks, here, default)


def _block_of(item: dict[str, Any], blocks: dict[str, Any], default: Any) -> dict[str, Any] | None:
    """The block that a setting holds by default: of several, the one that has the default's kind."""
    found = [blocks[part["$ref"].rpartition("/")[2]] for part in _alternatives(item) if "$ref" in part]
    if len(found) > 1 and isinstance(default, dict):
        kind = default.get("kind")
        found = [block for block in found if block.get("properties", {}).get("kind", {}).get("const") == kind]
    return found[0] if len(found) == 1 else None


def _alternatives(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield item
    for key in ("anyOf", "oneOf", "allOf"):
        for part in item.get(key, ()):
            yield from _alternatives(part)


def _allowed(item: dict[str, Any]) -> str:
    """Bounds and choices of every alternative, such as ``1 to 100`` or ``auto, 1 to 8``."""
    texts = [text for part in _alternatives(item) if (text := _bounds(part) or _choices(part))]
    return ", ".join(dict.fromkeys(texts))


def _choices(item: dict[str, Any]) -> str:
    values = item.get("enum", [item["const"]] if "const" in item else [])
    if item.get("type") == "boolean":
        values = [True, False]
    return ", ".join(as_yaml(value) for value in values)


def _bounds(item: dict[str, Any]) -> str:
    """``1 to 100``, ``above 0``, ``at least 0``; upper bounds that only keep numbers finite are left out."""
    if item.get("type") == "array":
        return _bounds(item["items"]) if isinstance(item.get("items"), dict) else ""
    low, above = item.get("minimum"), item.get("exclusiveMinimum")
    high, below = item.get("maximum"), item.get("exclusiveMaximum")
    first = f"above {above:,}" if above is not None else "" if low is None else f"{low:,}"
    last = f"below {below:,}" if below is not None else "" if high is None or high >= LARGE else f"{high:,}"
    if not last:
        return first if above is not None or low is None else f"at least {first}"
    return f"{first} to {last}" if first else f"to {last}"


def as_yaml(value: Any) -> str:
    """A short value as it may stand in a YAML file."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
