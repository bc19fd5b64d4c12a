"""The families that a scenario names, and where their kinds lie."""

from __future__ import annotations

import importlib

import pytest

from fedleak.component import Component
from fedleak.families import ATTACKS, FAMILIES, LABEL_INFERENCES, kinds


@pytest.mark.parametrize("family", FAMILIES)
def test_a_familys_base_lies_in_its_package(family: str) -> None:
    base, package = FAMILIES[family]
    assert base.__module__ == f"{package}.base"
    assert issubclass(base, Component)
    assert importlib.import_module(package).__path__


@pytest.mark.parametrize("family", FAMILIES)
def test_kinds_are_those_of_the_family_sorted_by_name(family: str) -> None:
    found = kinds(family)
    assert list(found) == sorted(found)
    assert all(issubclass(cls, FAMILIES[family][0]) for cls in found.values())
    assert {name: cls.kind_name() for name, cls in found.items()} == {name: name for name in found}


def test_a_family_within_anothers_package_is_kept_apart() -> None:
    assert LABEL_INFERENCES[1].startswith(f"{ATTACKS[1]}.")
    assert not kinds("attack").keys() & kinds("label_inference").keys()


def test_an_unknown_family_has_no_kinds() -> None:
    with pytest.raises(KeyError):
        kinds("vegetable")
