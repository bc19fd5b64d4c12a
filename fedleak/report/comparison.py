"""The same images under every attack, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedleak.report.marks import display_name
from fedleak.report.pictures import Pair, ShownImage, make_pair
from fedleak.results.schema import PICTURES, AttackSummary

SHOWN = 6
"""Maximum number of images."""


@dataclass(frozen=True)
class ComparedImage:
    """One original and its reconstruction by each attack; None if an attack has none."""

    place: str
    original: ShownImage
    rebuilt: tuple[Pair | None, ...]


@dataclass(frozen=True)
class Comparison:
    """Attacks in the order of the scenario, and the run's first images."""

    attacks: tuple[str, ...]
    rows: tuple[ComparedImage, ...]


def compare_attacks(run_directory: Path, summaries: tuple[AttackSummary, ...]) -> Comparison | None:
    """Reconstructions of the same images by several attacks; None if fewer than two attacks have pictures.

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
