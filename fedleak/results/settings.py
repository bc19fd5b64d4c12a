"""The settings of a scenario as a flat list of paths, for comparing runs and for trackers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

Setting: TypeAlias = str | int | float | bool | None


def flat_settings(value: object, path: str = "") -> Iterator[tuple[str, Setting]]:
    """``("attacks.lti.hidden", 300)`` for every setting of a resolved scenario; list items are named by id or kind."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from flat_settings(child, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        for i, item in enumerate(value):
            name = (item.get("id") or item.get("kind") or i) if isinstance(item, Mapping) else i
            yield from flat_settings(item, f"{path}.{name}")
    else:
        yield path, value if isinstance(value, str | int | float | bool | None) else repr(value)
