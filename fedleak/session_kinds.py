"""Attacks that a session defines: written like those of a scenario, and where they can run."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from functools import reduce
from typing import Any

from fedleak.attacks.base import Attack
from fedleak.errors import InputError
from fedleak.families import kind_named


def written(attack: Attack | Mapping[str, Any] | str) -> dict[str, Any]:
    """An attack as a scenario has it: a mapping with a kind, from which the same attack is built.

    Raises:
        InputError: if it is no attack, or another class has its kind.
    """
    if isinstance(attack, str):
        return {"kind": attack}
    if isinstance(attack, Mapping):
        return dict(attack)
    if not isinstance(attack, Attack):
        allowed = "expected a kind, a mapping with settings, or an instance of a subclass of fedleak's Attack"
        raise InputError("attacks", type(attack).__name__, allowed)
    cls = type(attack)
    if not attack.kind:
        allowed = f'it has no kind: add a field to {cls.__name__}, such as kind: Literal["my_attack"] = "my_attack"'
        raise InputError("attacks", cls.__name__, allowed)
    found = kind_named("attack", attack.kind)
    if found is not cls:
        other = f"{found.__module__}.{found.__qualname__}" if found is not None else "no class"
        allowed = f"{other} has this kind: give {cls.__name__} its own, or make the instance of the class as it is now"
        raise InputError("attacks", attack.kind, allowed)
    return attack.model_dump(mode="json")


def is_only_here(cls: type[Any]) -> bool:
    """Whether no other process can import a class: it is defined in a script, a notebook, or inside a function."""
    if cls.__module__ == "__main__" or "<" in cls.__qualname__:
        return True
    try:
        importable = importlib.util.find_spec(cls.__module__) is not None
        found: Any = reduce(getattr, cls.__qualname__.split("."), sys.modules.get(cls.__module__))
        return not importable or found is not cls
    except (ImportError, ValueError, AttributeError):
        return True
