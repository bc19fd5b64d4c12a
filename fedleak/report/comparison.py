"""The same images under every attack, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedleak.report.marks import display_name
from fedleak.report.pictures import Pair, ShownImage, make_pair
from fedleak.results.schema import PICTURES, AttackSummary

SHOWN = 6
"""Images at most."""


@dataclass(frozen=True)
class ComparedImage:
    """One image: where it comes from, itself, and what each attack made of it; None where it made nothing."""

    place: str
    original: ShownImage
    rebuilt: tuple[Pair | None, ...]


@dataclass(frozen=True)
class Comparison:
    """Attacks in the order of the scenario, and the run's first images."""

    attacks: tuple[str, ...]
    rows: tuple[ComparedImage, ...]


def compare_attacks(run_directory: Path, summaries: tuple[AttackSummary, ...]) -> Comparison | None:
    """What several attacks made of the same images; None where there are fewer than two attacks with pictures.

    Raises:
        InputError: if a picture's name points outside the folder of pictures.
    """
    attacks = [summary for summary in summaries if summary.compared]
    if len(attacks) < 2:
        return None
    folder = run_directory / PICTURES
    made = [{(p.round, p.victim, p.image): make_pair(folder, p) for p in summary.compared} for summary in attacks]
    places = sorted(set().union(*made))[:SHOWN]
    rows = []
    for place in places:
        rebuilt = tuple(pairs.get(place) for pairs in made)
        first = next(pair for pair in rebuilt if pair is not None)
        rows.append(ComparedImage(first.place, first.original, rebuilt))
    return Comparison(tuple(display_name(summary) for summary in attacks), tuple(rows))
