from __future__ import annotations

import importlib
import itertools
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from fedleak.component import Component, Settings, choice, discover
from tests.scenario.settings_models import every_model, numbers

BASE = """
from abc import abstractmethod
from fedleak.component import Component
class Fruit(Component):
    @abstractmethod
    def eat(self): ...
"""
KIND = """
from typing import Literal
from {package}.base import Fruit
class {name}(Fruit):
    '''{name} is a fruit.

    More about it.
    '''
    kind: Literal["{kind}"] = "{kind}"
    seeds: int = 1
    def eat(self): ...
"""
counter = itertools.count()


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """An importable package with a base class and no kinds yet, and its folder."""
    package = f"toy_family_{next(counter)}"
    folder = tmp_path / package
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "base.py").write_text(BASE)
    monkeypatch.syspath_prepend(tmp_path)
    return package, folder


def add_kind(family: tuple[str, Path], module: str, name: str, kind: str) -> None:
    package, folder = family
    (folder / module).write_text(KIND.format(package=package, name=name, kind=kind))


def base_of(family: tuple[str, Path]) -> type[Component]:
    importlib.invalidate_caches()
    base: type[Component] = importlib.import_module(f"{family[0]}.base").Fruit
    return base


def test_discover_finds_a_new_file_without_any_list(family: tuple[str, Path]) -> None:
    add_kind(family, "pear.py", "Pear", "pear")
    add_kind(family, "apple.py", "Apple", "apple")
    kinds = discover(base_of(family), family[0])
    assert list(kinds) == ["apple", "pear"]
    assert kinds["pear"].__name__ == "Pear"


def test_discover_walks_into_subpackages(family: tuple[str, Path]) -> None:
    (family[1] / "citrus").mkdir()
    (family[1] / "citrus/__init__.py").touch()
    add_kind(family, "citrus/lemon.py", "Lemon", "lemon")
    assert list(discover(base_of(family), family[0])) == ["lemon"]


def test_discover_leaves_out_abstract_classes(family: tuple[str, Path]) -> None:
    (family[1] / "berry.py").write_text(
        f"from {family[0]}.base import Fruit\nclass Berry(Fruit):\n    kind: str = 'b'\n"
    )
    assert discover(base_of(family), family[0]) == {}


def test_discover_leaves_out_kinds_of_other_packages(family: tuple[str, Path]) -> None:
    add_kind(family, "pear.py", "Pear", "pear")
    base = base_of(family)

    class Foreign(base):  # type: ignore[misc, valid-type]
        kind: str = "foreign"

        def eat(self) -> None: ...

    assert Foreign.kind_name() == "foreign"
    assert list(discover(base, family[0])) == ["pear"]


def test_discover_refuses_two_claims_to_one_kind(family: tuple[str, Path]) -> None:
    add_kind(family, "pear.py", "Pear", "pear")
    add_kind(family, "other.py", "Other", "pear")
    with pytest.raises(
        TypeError, match=r"kind 'pear' .* claimed by .*Other.* and .*Pear|claimed by .*Pear.* and .*Other"
    ):
        discover(base_of(family), family[0])


def test_summary_is_the_first_line_of_the_docstring(family: tuple[str, Path]) -> None:
    add_kind(family, "pear.py", "Pear", "pear")
    assert discover(base_of(family), family[0])["pear"].summary() == "Pear is a fruit."


@pytest.mark.parametrize("kinds", [("pear",), ("apple", "pear")])
def test_choice_takes_a_name_or_a_mapping(family: tuple[str, Path], kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        add_kind(family, f"{kind}.py", kind.title(), kind)
    adapter = TypeAdapter(choice(base_of(family), family[0]))
    assert adapter.validate_python("pear").kind == "pear"
    assert adapter.validate_python({"kind": "pear", "seeds": 3}).seeds == 3


@pytest.mark.parametrize(
    "value", ["grape", {"kind": "grape"}, {"kind": "pear", "stone": 1}, {"kind": "pear", "seeds": "x"}]
)
def test_choice_refuses_unknown_kinds_keys_and_types(family: tuple[str, Path], value: object) -> None:
    add_kind(family, "pear.py", "Pear", "pear")
    add_kind(family, "apple.py", "Apple", "apple")
    with pytest.raises(ValidationError):
        TypeAdapter(choice(base_of(family), family[0])).validate_python(value)


def test_components_cannot_be_changed(family: tuple[str, Path]) -> None:
    add_kind(family, "pear.py", "Pear", "pear")
    pear = discover(base_of(family), family[0])["pear"]()
    with pytest.raises(ValidationError):
        pear.seeds = 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", every_model(), ids=lambda model: model.__name__)
def test_every_number_of_every_model_is_strict(model: type[BaseModel]) -> None:
    for name, leaf in numbers(model):
        if leaf["type"] in ("int", "float", "bool"):
            assert leaf.get("strict") is True, name
        elif leaf["type"] == "literal":
            assert all(isinstance(value, str) for value in leaf["expected"]), f"{name} lists numbers without a check"


class Numbers(Settings):
    """One field of each sort."""

    count: int = 1
    rate: float = 1.0
    flag: bool = False
    depth: Literal[1, 18] = 1
    sizes: tuple[Annotated[int, Field(ge=1)], ...] = ()
    either: Literal["all"] | int | None = None
    costs: dict[str, float] = {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": True}, {"count": "3"}, {"count": 3.0}, {"count": None}, {"rate": True}, {"rate": "1"}, {"flag": 1},
        {"flag": 0}, {"flag": "true"}, {"flag": 1.0}, {"depth": True}, {"depth": 1.0}, {"depth": "18"}, {"depth": 2},
        {"sizes": [True]}, {"sizes": ["1"]}, {"sizes": [1.0]}, {"either": True}, {"either": 1.0}, {"either": "1"},
        {"costs": {"a": True}}, {"costs": {"a": "1"}}, {"rate": float("nan")}, {"costs": {"a": float("inf")}},
    ],
    ids=str,
)  # fmt: skip
def test_a_number_that_is_another_sort_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Numbers.model_validate(wrong)


def test_a_number_may_be_written_without_a_point_and_a_list_is_a_tuple() -> None:
    numbers_ = Numbers.model_validate({"rate": 2, "sizes": [1, 2], "either": 3, "depth": 18, "costs": {"a": 1}})
    assert (numbers_.rate, type(numbers_.rate)) == (2.0, float)
    assert (numbers_.sizes, numbers_.either, numbers_.depth) == ((1, 2), 3, 18)
    assert Numbers.model_json_schema()["properties"]["depth"]["enum"] == [1, 18]
