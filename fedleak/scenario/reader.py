"""Reading YAML files and texts into plain values, and writing them."""

from __future__ import annotations

import copy
import math
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from fedleak.errors import InputError, shorten
from fedleak.scenario.loader import DEEPEST, MOST_NODES, Dumper, Loader, RefusedYamlError

Raw = dict[str, Any]

LARGEST_FILE = 2**20
"""Bytes of a YAML file."""


def read_yaml(path: Path, *, option: str = "SCENARIO") -> Raw:
    """The mapping in a YAML file; no two places of it share a list or mapping.

    Args:
        path: a regular file of at most ``LARGEST_FILE`` bytes, in UTF-8.
        option: name of the argument for the error message.

    Raises:
        InputError: if the file is missing or cannot be read, is not valid YAML, or not a mapping.
    """
    return parse_mapping(_text(path, option), str(path), option=option)


def parse_mapping(text: str, name: str, *, option: str) -> Raw:
    """The mapping in the YAML text of the file ``name``.

    Raises:
        InputError: if it is not valid YAML, or not a mapping.
    """
    try:
        raw = parse_yaml(text)
    except RefusedYamlError as error:
        where = f"line{'s' * (len(error.lines) > 1)} {' and '.join(map(str, error.lines))} of {shorten(name)}"
        raise InputError(error.path or option, error.value, f"{error.reason} ({where})") from error
    except yaml.YAMLError as error:
        raise InputError(option, name, f"it is not valid YAML: {detail(error)}") from error
    if not isinstance(raw, dict):
        found = "it is empty" if raw is None else f"it holds {shorten(raw)}"
        raise InputError(option, name, f"{found}; expected a mapping of settings")
    return raw


def parse_yaml(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        YAMLError: if the text is not valid YAML.
        RefusedYamlError: if it is, but is not accepted (see ``loader``).
    """
    return _copy(yaml.load(text, Loader))  # noqa: S506 - a safe loader


def dump_yaml(value: Any) -> str:
    """A value as YAML that ``parse_yaml`` reads back the same."""
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def detail(error: yaml.YAMLError) -> str:
    """An error of the YAML library as one line of at most 300 characters."""
    return " ".join(str(error).split())[:300]


def plain(raw: Mapping[str, Any]) -> Raw:
    """A copy of settings that were given as Python values, no two places of which share a list or mapping.

    Raises:
        InputError: with the path, if a number is not finite, or if there are too many values or levels.
    """
    for count, (path, value) in enumerate(_walk(raw, "")):
        if count > MOST_NODES:
            raise InputError(path, value, f"expected at most {MOST_NODES} values")
        if path.count(".") >= DEEPEST:
            raise InputError(path.split(".")[0], value, f"expected at most {DEEPEST} levels of lists and mappings")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(path, value, "expected a finite number")
    copied: Raw = _copy(dict(raw))
    return copied


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value inside ``value`` with its path, outer ones first."""
    pending = [(path, value)]
    while pending:
        path, value = pending.pop()
        yield path, value
        items = value.items() if isinstance(value, Mapping) else enumerate(value) if _is_list(value) else ()
        pending += [(f"{path}.{key}" if path else str(key), item) for key, item in items]


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if _is_list(value) else copy.deepcopy(value)


def _text(path: Path, option: str) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(option, str(path), "it cannot be read: expected a file, not a directory or a device")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise InputError(option, str(path), "there is no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(option, str(path), f"it cannot be read ({error})") from error
    if len(content) > LARGEST_FILE:
        raise InputError(option, str(path), f"expected a file of at most {LARGEST_FILE} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"it cannot be read: line {line} is not UTF-8; save it in this encoding"
        raise InputError(option, str(path), reason) from error
