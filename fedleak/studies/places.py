"""Values without the places of a machine: paths and addresses."""

from __future__ import annotations

import re
from typing import Any

WHOLE_PATH = re.compile(r"^(/|~|\.{1,2}/|[A-Za-z]:[\\/]|\\\\|file:)")
PATH_IN_TEXT = re.compile(r"(?<![\w/:.<>-])(?:~/|/(?=\w)|[A-Za-z]:\\)[^\s'\",;()\[\]]+")
HOST_KEYS = ("address",)


def without_places(value: Any) -> Any:
    """JSON value with paths and addresses of machines replaced by ``<path 1>``, ``<path 2>`` ... as they appear."""
    return _without(value, {})


def _without(value: Any, seen: dict[str, str]) -> Any:
    if isinstance(value, str):
        if WHOLE_PATH.match(value):
            return _stands_for(value, seen)
        return PATH_IN_TEXT.sub(lambda found: _stands_for(found[0], seen), value)
    if isinstance(value, list):
        return [_without(each, seen) for each in value]
    if isinstance(value, dict):
        hidden = {key for key in HOST_KEYS if isinstance(value.get(key), str)}
        kept = {_without(key, seen): _without(each, seen) for key, each in value.items() if key not in hidden}
        return kept | {key: _stands_for(value[key], seen) for key in sorted(hidden)}
    return value


def _stands_for(path: str, seen: dict[str, str]) -> str:
    return seen.setdefault(path, f"<path {len(seen) + 1}>")
