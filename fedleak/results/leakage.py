"""The SoK's worst-sample reconstruction rate: how reliably the most vulnerable image of a batch leaks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from fedleak.results.schema import ResultRow

UpdateKey = tuple[int, int]
"""Client (for a sum: the first one) and round."""
WSRR: Mapping[str, str] = {"leaked": "wsrr", "leaked_ssim": "wsrr_ssim"}
"""Indicator metric -> name of its worst-sample rate."""


class ConfiguredAttack(Protocol):
    """An attack and its settings, as in its record and its summary."""

    @property
    def attack(self) -> str:
        """Id of the attack."""

    @property
    def kind(self) -> str:
        """Kind of the attack."""

    @property
    def settings(self) -> dict[str, object]:
        """All settings except the id."""


def repeats(attacks: Iterable[ConfiguredAttack]) -> list[tuple[str, ...]]:
    """Groups of ids of attacks that differ only in their id: independent initialisations of one attack."""
    groups: dict[str, list[str]] = {}
    for attack in attacks:
        groups.setdefault(json.dumps([attack.kind, attack.settings], sort_keys=True), []).append(attack.attack)
    return [tuple(names) for names in groups.values()]


def worst_sample_rates(repeated: Sequence[Sequence[ResultRow]], indicator: str) -> dict[UpdateKey, float]:
    """For each update, the largest share of initialisations in which the same image of the batch leaks.

    WSRR of Du et al. 2025 (arXiv 2404.05403, Appendix C); which image is the most vulnerable is our reading.

    Args:
        repeated: rows of each initialisation; an image on which one of them failed did not leak there.
        indicator: name of a metric of zeros and ones.
    """
    leaks: dict[UpdateKey, dict[tuple[int, int], float]] = {}
    for rows in repeated:
        for row in rows:
            value = row.metrics.get(indicator)
            if row.image is not None and value is not None:
                images, image = leaks.setdefault(row.update, {}), (row.victim, row.image)
                images[image] = images.get(image, 0.0) + value
    return {update: max(images.values()) / len(repeated) for update, images in leaks.items()}


def worst_samples(
    attacks: Iterable[ConfiguredAttack], rows: Mapping[str, Sequence[ResultRow]]
) -> dict[str, dict[str, dict[UpdateKey, float]]]:
    """Attack -> ``wsrr`` (``wsrr_ssim``) -> update -> rate, for attacks with at least two initialisations."""
    found: dict[str, dict[str, dict[UpdateKey, float]]] = {}
    for names in repeats(attacks):
        if len(names) < 2:
            continue
        for indicator, rate in WSRR.items():
            rates = worst_sample_rates([rows[name] for name in names], indicator)
            for name in names if rates else ():
                found.setdefault(name, {})[rate] = rates
    return found
