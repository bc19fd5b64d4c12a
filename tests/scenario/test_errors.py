"""Pydantic's errors in the words of the YAML."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import ValidationError

from fedleak.component import Settings
from fedleak.errors import InputError
from fedleak.scenario.errors import translate
from fedleak.scenario.schema import Scenario
from tests.scenarios import tiny


class Inner(Settings):
    """A block."""

    size: int
    color: Literal["red", "green"] = "red"


class Outer(Settings):
    """Settings with every sort of place."""

    inner: Inner = Inner(size=1)
    several: tuple[Inner, ...] = ()
    either: Literal["all"] | tuple[int, ...] = "all"


def errors_of(raw: dict[str, Any], root: type[Settings] = Outer) -> list[InputError]:
    with pytest.raises(ValidationError) as caught:
        root.model_validate(raw)
    return translate(caught.value.errors(), raw, root=root).errors


@pytest.mark.parametrize(
    ("raw", "path", "value", "allowed"),
    [
        ({"inner": {}}, "inner.size", None, "this setting is required"),
        ({"inner": 3}, "inner", 3, "expected a mapping"),
        ({"several": 3}, "several", 3, "expected a list"),
        ({"inner": {"size": 1, "sise": 2}}, "inner.sise", 2, "unknown key; did you mean 'size'? known: color, size"),
        ({"inner": {"size": 1, "color": "gren"}}, "inner.color", "gren",
         "did you mean 'green'? expected 'red' or 'green'"),
        ({"several": [{"size": 1}, {"size": "x"}]}, "several.1.size", "x",
         "expected a valid integer"),
        ({"outer": 1}, "outer", 1, "unknown key; known: either, inner, several"),
    ],
)  # fmt: skip
def test_an_error_names_path_value_and_what_is_allowed(
    raw: dict[str, Any], path: str, value: object, allowed: str
) -> None:
    (error,) = errors_of(raw)
    assert (error.path, error.value, error.allowed) == (path, value, allowed)


def test_the_branches_of_a_union_are_one_error() -> None:
    (error,) = errors_of({"either": 3})
    assert error.path == "either"
    assert error.allowed == "expected 'all', or a list"


def test_several_places_are_several_errors() -> None:
    found = errors_of({"inner": {"size": "x"}, "several": [{}]})
    assert [error.path for error in found] == ["inner.size", "several.0.size"]


@pytest.mark.parametrize(
    ("changes", "path", "hint"),
    [
        ({"model": "lenett"}, "model.kind", "did you mean 'lenet'?"),
        ({"model": {"kind": "lenett"}}, "model.kind", "did you mean 'lenet'?"),
        ({"attacks": ["lti", {"kind": "dgl"}]}, "attacks.1.kind", "did you mean 'dlg'?"),
        ({"model": {"kind": "mlp", "hiden": [3]}}, "model.hiden", "did you mean 'hidden'?"),
    ],
)
def test_kinds_are_no_part_of_a_path(changes: dict[str, Any], path: str, hint: str) -> None:
    (error,) = errors_of(tiny() | changes, Scenario)
    assert error.path == path
    assert hint in error.allowed
