"""The matrix of a study: axes of settings and their points."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fedleak import limits
from fedleak.errors import InputError, nearest
from fedleak.scenario.reader import plain

Label = str | int | float | bool | None
Point = dict[str, Label]
"""Axis -> the value there, or the name of the variant."""
RESERVED = ("exclude", "include")


@dataclass(frozen=True)
class Level:
    """One value of an axis: its label, and the settings behind it as ``(path, value)``."""

    label: Label
    settings: tuple[tuple[str, Any], ...]
    added: bool = False
    """Only from ``include``; not part of the product."""


@dataclass(frozen=True)
class Axis:
    """A scenario path with values, or a name with variants."""

    name: str
    levels: tuple[Level, ...]
    has_variants: bool = False

    @property
    def labels(self) -> tuple[Label, ...]:
        """Labels of the product, in the order of the study file."""
        return tuple(level.label for level in self.levels if not level.added)

    def level(self, label: Label) -> Level | None:
        """The level with that label; None if there is none."""
        return next((level for level in self.levels if same(level.label, label)), None)


@dataclass(frozen=True)
class Matrix:
    """Axes, and the points that are excluded or added."""

    axes: tuple[Axis, ...] = ()
    exclude: tuple[Point, ...] = ()
    include: tuple[Point, ...] = ()

    def points(self) -> tuple[Point, ...]:
        """The product of the axes (the last varies fastest) without ``exclude``, then ``include``; no repeats."""
        names = [axis.name for axis in self.axes]
        product = (
            dict(zip(names, labels, strict=True)) for labels in itertools.product(*(a.labels for a in self.axes))
        )
        points = [point for point in product if not any(matches(point, hole) for hole in self.exclude)]
        for extra in self.include:
            if not any(matches(point, extra) for point in points):
                points.append(extra)
        return tuple(points)

    def settings(self, point: Point) -> list[tuple[str, Any]]:
        """Settings of a point as ``(path, value)``, in the order of the axes."""
        return [
            setting
            for axis in self.axes
            if (level := axis.level(point[axis.name])) is not None
            for setting in level.settings
        ]


def same(left: Label, right: Label) -> bool:
    """Equality where 1 equals 1.0 but not True."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def matches(point: Mapping[str, Label], where: Mapping[str, Label]) -> bool:
    """Whether ``point`` has every value that ``where`` names."""
    return all(name in point and same(point[name], value) for name, value in where.items())


def axis_name(name: str, known: Iterable[str]) -> str | None:
    """The axis called ``name``, in full or by the last parts of its path if that is unique."""
    names = list(known)
    if name in names:
        return name
    ending = [candidate for candidate in names if candidate.endswith(f".{name}")]
    return ending[0] if len(ending) == 1 else None


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Axis -> the fewest last parts of its path that identify it."""
    every = list(names)
    return {name: next(s for s in _endings(name) if axis_name(s, every) == name) for name in every}


def _endings(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[i:]) for i in range(len(parts) - 1, -1, -1)]


def describe(point: Mapping[str, Label], names: Mapping[str, str] | None = None) -> str:
    """``pairs=100, model=relu``."""
    short = names or short_names(point)
    return ", ".join(f"{short.get(name, name)}={label_text(label)}" for name, label in point.items())


def label_text(label: Label) -> str:
    """A label as in YAML."""
    return label if isinstance(label, str) else json.dumps(label)


def parse_matrix(raw: object, *, seeds: int = 1) -> Matrix:
    """The ``matrix`` block of a study with ``seeds`` seeds.

    Raises:
        InputError: with the YAML path.
    """
    if not isinstance(raw, dict):
        raise InputError("matrix", raw, "expected a mapping of scenario path: list of values")
    blocks: dict[str, Any] = plain({"matrix": raw})["matrix"]
    axes = tuple(_axis(str(name), value) for name, value in blocks.items() if name not in RESERVED)
    cells = seeds * math.prod(len(axis.levels) for axis in axes)
    if cells > limits.CELLS:
        raise InputError("matrix", f"{cells} cells", f"expected at most {limits.CELLS}, seeds included")
    included = _mappings("matrix.include", blocks.get("include"))
    axes = tuple(_with_added(axis, included, axes) for axis in axes)
    include = tuple(_point(f"matrix.include.{i}", item, axes) for i, item in enumerate(included))
    for i, point in enumerate(include):
        missing = [axis.name for axis in axes if axis.name not in point]
        if missing:
            raise InputError(f"matrix.include.{i}", point, f"it lacks a value for {', '.join(missing)}")
    excluded = _mappings("matrix.exclude", blocks.get("exclude"))
    exclude = tuple(_point(f"matrix.exclude.{i}", item, axes) for i, item in enumerate(excluded))
    return Matrix(axes, exclude, include)


def _axis(name: str, raw: object) -> Axis:
    path = f"matrix.{name}"
    if not raw or not isinstance(raw, list | dict):
        raise InputError(path, raw, "expected a list of values, or a mapping of variant: {path: value}")
    levels: list[Level] = []
    items: list[tuple[Any, object]] = list(enumerate(raw)) if isinstance(raw, list) else list(raw.items())
    for key, value in items:
        level = Level(_label(value), ((name, value),)) if isinstance(raw, list) else _variant(path, key, value)
        if any(same(level.label, other.label) for other in levels):
            raise InputError(f"{path}.{key}", value, "it is listed twice")
        levels.append(level)
    return Axis(name, tuple(levels), has_variants=isinstance(raw, dict))


def _with_added(axis: Axis, included: list[dict[Any, Any]], axes: tuple[Axis, ...]) -> Axis:
    """The axis with the values that only ``include`` names; axes with variants get none."""
    names = [other.name for other in axes]
    levels = list(axis.levels)
    for item in included if not axis.has_variants else []:
        for key, value in item.items():
            level = Level(_label(value), ((axis.name, value),), added=True)
            if axis_name(str(key), names) == axis.name and not any(same(level.label, o.label) for o in levels):
                levels.append(level)
    return replace(axis, levels=tuple(levels))


def _variant(path: str, name: object, raw: object) -> Level:
    if not isinstance(name, str):
        raise InputError(f"{path}.{name}", name, "the name of a variant must be text; quote it")
    if not isinstance(raw, dict):
        raise InputError(f"{path}.{name}", raw, "expected a mapping of scenario path: value (it may be empty)")
    return Level(name, tuple((str(key), value) for key, value in raw.items()))


def _label(value: object) -> Label:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict) and set(value) == {"kind"}:
        return str(value["kind"])
    return json.dumps(value, default=str)


def _mappings(path: str, raw: object) -> list[dict[Any, Any]]:
    if raw is None:
        return []
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise InputError(path, raw, "expected a list of mappings, axis: value")
    return raw


def _point(path: str, raw: Mapping[Any, Any], axes: tuple[Axis, ...]) -> Point:
    by_name = {axis.name: axis for axis in axes}
    point: Point = {}
    for key, value in raw.items():
        name = axis_name(str(key), by_name)
        if name is None:
            hint = nearest(str(key), by_name)
            raise InputError(f"{path}.{key}", value, f"no such axis; {hint}axes: {', '.join(by_name) or 'none'}")
        level = by_name[name].level(_label(value))
        if level is None:
            known = ", ".join(map(label_text, by_name[name].labels))
            raise InputError(f"{path}.{key}", value, f"not a value of that axis; values: {known}")
        point[name] = level.label
    return {axis.name: point[axis.name] for axis in axes if axis.name in point}
