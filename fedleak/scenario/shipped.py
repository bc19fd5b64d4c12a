"""The scenarios and studies that come with fedleak, by name."""

from __future__ import annotations

from pathlib import Path

from fedleak.errors import InputError, nearest

PACKAGE = Path(__file__).parents[1]


def shipped_folder() -> Path:
    """``fedleak/shipped`` of a wheel, or ``scenarios`` of the source tree."""
    built = PACKAGE / "shipped"
    return built if built.is_dir() else PACKAGE.parent / "scenarios"


def shipped_scenarios() -> dict[str, Path]:
    """Name -> file of every scenario and study that ships."""
    return {path.stem: path for path in sorted(shipped_folder().rglob("*.yaml"))}


def find_scenario(given: Path, *, option: str = "SCENARIO") -> Path:
    """A scenario or study by its file, or else by the name of one that ships.

    Args:
        given: what the user wrote. What exists, and whatever looks like a path (it has a folder or an extension), is
            taken as it is.
        option: the argument at fault where there is neither.

    Raises:
        InputError: if there is no such file and no scenario of that name ships; with the nearest name.
    """
    if given.exists() or given.suffix or len(given.parts) > 1:
        return given
    known = shipped_scenarios()
    if given.name not in known:
        hint = nearest(given.name, known)
        raise InputError(option, str(given), f"{hint}there is no such file, and no shipped scenario of that name")
    return known[given.name]
