"""Values for the template of a run's report, assembled from the results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from fedleak.report.adversary import AdversaryDescription, describe_adversary
from fedleak.report.comparison import Comparison, compare_attacks
from fedleak.report.failures import Failure, failed_attacks, failed_clients
from fedleak.report.figures import Figures, draw_figures
from fedleak.report.marks import assign_marks
from fedleak.report.pictures import Gallery, Pair, galleries, make_pair
from fedleak.report.table import ResultsTable, results_table
from fedleak.report.verdict import RunVerdict, decide
from fedleak.results.format import DASH, count, percent, privacy_loss, significant
from fedleak.results.schema import PICTURES, AttackSummary, Results
from fedleak.version import __version__

_PROTOCOLS = {"fedsgd": "FedSGD", "fedavg": "FedAvg"}


@dataclass(frozen=True)
class Tile:
    """A key fact with its title."""

    title: str
    value: str


@dataclass(frozen=True)
class Page:
    """All values that the template shows."""

    name: str
    description: str
    verdict: RunVerdict
    example: Pair | None
    tiles: tuple[Tile, ...]
    adversary: AdversaryDescription
    table: ResultsTable
    comparison: Comparison | None
    galleries: tuple[Gallery, ...]
    figures: Figures
    notes: tuple[str, ...]
    failed_attacks: tuple[Failure, ...]
    failed_clients: tuple[Failure, ...]
    scenario: str
    environment: tuple[tuple[str, str], ...]
    fingerprint: str
    version: str


def make_page(results: Results, run_directory: Path) -> Page:
    """Assemble the page.

    Raises:
        InputError: if a picture's name points outside the folder of pictures.
    """
    marks = assign_marks(results.attacks)
    verdict = decide(results)
    return Page(
        name=results.name,
        description=results.description,
        verdict=verdict,
        example=_typical(verdict.strongest, run_directory),
        tiles=_tiles(results),
        adversary=describe_adversary(results),
        table=results_table(results, marks),
        comparison=compare_attacks(run_directory, results.attacks),
        galleries=galleries(run_directory, results.attacks),
        figures=draw_figures(results, marks),
        notes=results.notes,
        failed_attacks=failed_attacks(results.rows),
        failed_clients=failed_clients(results.federation),
        scenario=yaml.safe_dump(results.scenario, sort_keys=False, allow_unicode=True, width=100),
        environment=tuple(flatten(results.environment)),
        fingerprint=results.fingerprint,
        version=__version__,
    )


def _typical(summary: AttackSummary | None, run_directory: Path) -> Pair | None:
    """A median picture of the strongest attack, for the head of the page."""
    pictures = [p for p in summary.pictures if p.rank == "median"] if summary else []
    pair = make_pair(run_directory / PICTURES, pictures[len(pictures) // 2]) if pictures else None
    return pair if pair and pair.original.uri and pair.reconstruction.uri else None


def _privacy(results: Results) -> tuple[Tile, ...]:
    if results.epsilon is None or results.delta is None:
        return ()
    unit = (results.privacy_unit or "example").capitalize()
    return (Tile(f"{unit}-level ε, δ", f"{privacy_loss(results.epsilon)}, {significant(results.delta)}"),)


def _tiles(results: Results) -> tuple[Tile, ...]:
    attacks = {s.attack for s in results.attacks if not s.is_baseline}
    scored = {
        (r.victim, r.round, r.image)
        for r in results.rows
        if r.attack in attacks and r.status == "ok" and r.image is not None and r.metrics
    }
    accuracy = results.federation[-1].accuracy if results.federation else None
    known = accuracy is not None and math.isfinite(accuracy)
    return (
        Tile("Dataset", _kind(results.scenario.get("dataset"))),
        Tile("Model", _kind(results.scenario.get("model"))),
        Tile("Protocol", _PROTOCOLS.get(results.protocol, results.protocol)),
        Tile("Clients", _clients(results.scenario)),
        Tile("Rounds", count(len(results.federation))),
        Tile("Victims' images scored", count(len(scored))),
        Tile("Pairs injected", count(results.pairs) if results.pairs is not None else "none"),
        Tile("Final test accuracy", percent(accuracy if known else None)),
        Tile("Bytes per update", DASH if results.encoded_bytes is None else count(round(results.encoded_bytes))),
        *_privacy(results),
    )


def _kind(component: object) -> str:
    """Kind of a component: a mapping with ``kind``, or just the name."""
    kind = component.get("kind") if isinstance(component, Mapping) else component
    return DASH if kind is None else str(kind)


def _clients(scenario: Mapping[str, object]) -> str:
    federation = scenario.get("federation")
    clients = federation.get("clients") if isinstance(federation, Mapping) else None
    return DASH if clients is None else str(clients)


def flatten(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings -> ``("packages.torch", "2.11")``."""
    lines: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            lines += flatten(value, f"{name}.")
        elif isinstance(value, list | tuple):
            lines.append((name, ", ".join(map(str, value))))
        else:
            lines.append((name, DASH if value is None else str(value)))
    return lines
