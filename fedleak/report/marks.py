"""Names and colours of attacks and baselines, the same in every table and chart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fedleak.results.schema import AttackSummary

COLOURS = 8
Dash = Literal["solid", "dashed", "dotted"]
_DASHES: tuple[Dash, ...] = ("solid", "dashed", "dotted")
_BASELINES = {
    "baseline_mean_image": "mean public image",
    "baseline_nearest_class": "nearest public image of the same class",
    "baseline_random_image": "random public image",
}


@dataclass(frozen=True)
class Mark:
    """Colour (1 to 8) and line style of an attack; colour 0 is the grey of baselines."""

    colour: int
    dash: Dash = "solid"


BASELINE = Mark(0)


def assign_marks(summaries: Iterable[AttackSummary]) -> dict[str, Mark]:
    """One mark for each attack id: eight colours, then the same ones dashed and dotted."""
    names = [summary.attack for summary in summaries if not summary.is_baseline]
    return {
        name: Mark(1 + i % COLOURS, _DASHES[i // COLOURS % len(_DASHES)]) for i, name in enumerate(dict.fromkeys(names))
    }


def display_name(summary: AttackSummary) -> str:
    """The id of an attack; a baseline in words."""
    return _BASELINES.get(summary.kind, summary.attack) if summary.is_baseline else summary.attack


def baseline_title(kind: str) -> str:
    """A baseline in words."""
    return _BASELINES.get(kind, kind)
