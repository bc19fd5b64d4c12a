from __future__ import annotations

from typing import Any

import pytest

from fedleak.attacks.base import Attack
from fedleak.attacks.generative.lti import Lti
from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.attacks.order import in_order, source_of, sources


def search(name: str, start: str | None = None) -> Attack:
    settings: dict[str, Any] = {"id": name} | ({"init": {"from": start}} if start else {})
    return InvertingGradients.model_validate(settings)


GENERATOR = Lti(id="small")


def names(attacks: list[Attack]) -> list[str]:
    return [attack.name for attack in attacks]


def test_an_attack_runs_after_the_one_that_it_starts_from() -> None:
    listed = [search("c", "b"), search("b", "small"), search("a"), GENERATOR]
    assert names(in_order(listed)) == ["small", "b", "c", "a"]
    assert names(sources(listed[0], listed)) == ["b", "small"]


def test_without_dependencies_the_order_stays() -> None:
    listed = [search("b"), search("a"), GENERATOR]
    assert names(in_order(listed)) == ["b", "a", "small"]
    assert source_of(listed[0], listed) is None


def test_a_source_is_named_by_its_kind_or_by_its_id_which_goes_first() -> None:
    by_kind = search("a", "lti")
    assert source_of(by_kind, [by_kind, GENERATOR]) is GENERATOR
    called_lti = search("lti")
    assert source_of(by_kind, [by_kind, GENERATOR, called_lti]) is called_lti


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([search("a", "smal"), GENERATOR], "no such attack; did you mean 'small'"),
        ([search("a", "lti"), GENERATOR, Lti(id="other")], "one of the ids small, other"),
        ([search("a", "a")], "a cycle: a starts from a"),
        ([search("a", "b"), search("b", "a")], "a cycle: a starts from b starts from a"),
        ([search("a", "b"), search("b", "c"), search("c", "b")], "a cycle"),
    ],
)
def test_what_cannot_be_ordered(listed: list[Attack], message: str) -> None:
    with pytest.raises(LookupError, match=message):
        in_order(listed)
