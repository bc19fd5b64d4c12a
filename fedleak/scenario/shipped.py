"""The scenarios and studies bundled with fedleak, by name."""

from __future__ import annotations

import os
from pathlib import Path

from fedleak.errors import InputError, nearest

PACKAGE = Path(__file__).parents[1]


def shipped_folder() -> Path:
    """``fedleak/shipped`` of a wheel, or ``scenarios`` of the source tree."""
    built = PACKAGE / "shipped"
    return built if built.is_dir() else PACKAGE.parent / "scenarios"


def shipped_scenarios() -> dict[str, Path]:
    """Name -> file of every bundled scenario and study."""
    return {path.stem: path for path in sorted(shipped_folder().rglob("*.yaml"))}


def find_scenario(given: Path, *, option: str = "SCENARIO") -> Path:
    """Find a scenario or study by its file, or else by the name of a bundled one.

    Args:
        given: the user's argument. An existing file, or anything that looks like a path (with a folder or an
            extension), is returned unchanged.
        option: name of the argument for the error message.

    Raises:
        InputError: if there is neither such a file nor a bundled scenario of that name; suggests the nearest name.
    """
    if os.path.exists(given) or given.suffix or len(given.parts) > 1:
        return given
    known = shipped_scenarios()
    if given.name not in known:
        hint = nearest(given.name, known)
        raise InputError(option, str(given), f"{hint}there is no such file, and no bundled scenario of that name")
    return known[given.name]
