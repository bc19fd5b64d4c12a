"""All families of kinds: those of scenarios, claims of studies, and trackers."""

from __future__ import annotations

from typing import Any

from fedleak.component import Component, discover
from fedleak.families import FAMILIES
from fedleak.studies.claims.base import Claim
from fedleak.trackers.base import Tracker

EVERY_FAMILY: dict[str, tuple[type[Any], str]] = FAMILIES | {
    "claim": (Claim, "fedleak.studies.claims"),
    "tracker": (Tracker, "fedleak.trackers"),
}


def kinds_of(family: str) -> dict[str, type[Component]]:
    """Every kind of a family, by name."""
    return discover(*EVERY_FAMILY[family])
