"""All families of kinds: those of scenarios, claims of studies, and trackers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fedleak.component import Component, discover
from fedleak.errors import InputError, nearest
from fedleak.families import FAMILIES
from fedleak.plugins import plugins
from fedleak.studies.claims.base import Claim
from fedleak.trackers.base import Tracker

EVERY_FAMILY: dict[str, tuple[type[Any], str]] = FAMILIES | {
    "claim": (Claim, "fedleak.studies.claims"),
    "tracker": (Tracker, "fedleak.trackers"),
}


CAPABILITY = "capability"
"""Listed with the families: what an adversary may know."""


def named_family(given: str) -> str:
    """The family called ``given``, in the singular or the plural.

    Raises:
        InputError: if there is none; suggests the nearest one.
    """
    name, known = given.lower().replace("-", "_"), (*EVERY_FAMILY, CAPABILITY)
    for family in known:
        if name in {family, f"{family}s", f"{family}es", f"{family[:-1]}ies", f"{family[:-2]}es"}:
            return family
    raise InputError("FAMILY", given, f"{nearest(name, known)}known: {', '.join(known)}")


def kinds_of(family: str) -> dict[str, type[Component]]:
    """Every kind of a family, by name."""
    return discover(*EVERY_FAMILY[family])


def kind_rows(family: str) -> Iterator[tuple[str, str, str]]:
    """Rows of a table, one for each kind of a family: family, kind, and what it is."""
    for kind, component in kinds_of(family).items():
        yield family, kind, component.summary()
    for kind, text in plugin_lines(family):
        yield family, kind, text


def plugin_lines(family: str) -> Iterator[tuple[str, str]]:
    """Kind of another package -> what it is and where it comes from; of a broken one, what is wrong with it."""
    base, package = EVERY_FAMILY[family]
    shipped = kinds_of(family)
    for kind, plugin in plugins(package).items():
        if kind in shipped:
            yield kind, f"not used: fedleak has a kind of this name ({plugin.origin})"
            continue
        try:
            yield kind, f"{plugin.load(base).summary()} ({plugin.origin})"
        except InputError as error:
            yield kind, f"broken: {error.allowed}"
