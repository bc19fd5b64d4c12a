"""Results of a run that lacks nothing: its attacks do not beat the baseline, and that is evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedleak.results.schema import AttackSummary, FederationRound, Interval, Results

MEAN = "baseline_mean_image"


def attack(name: str, **changes: Any) -> AttackSummary:
    """An attack that rebuilt forty images, none of them well."""
    plain: dict[str, Any] = {
        "attack": name,
        "kind": name,
        "is_baseline": name.startswith("baseline_"),
        "description": "",
        "images": 40,
        "metrics": {"mse": Interval(mean=0.09, low=0.08, high=0.10)},
    }
    return AttackSummary.model_validate(plain | changes)


def sound(
    *attacks_: AttackSummary, attacks: bool = True, baseline: Mapping[str, Interval] | None = None, **changes: Any
) -> Results:
    """The results with these attacks (default: one), or with none at all."""
    blind = {"mse": Interval(mean=0.07, low=0.06, high=0.08)} if baseline is None else baseline
    own = (attacks_ or (attack("ig"),)) if attacks else ()
    plain: dict[str, Any] = {
        "fingerprint": "f",
        "name": "sound",
        "description": "",
        "scenario": {},
        "environment": {},
        "protocol": "fedsgd",
        "compromised": None,
        "pairs": None,
        "capabilities": (),
        "classes": 10,
        "chance": 0.1,
        "federation": (FederationRound(round=1, accuracy=0.9, loss=0.3, test_images=400),),
        "attacks": (*own, attack(MEAN, metrics=blind)),
        "higher_is_better": ("psnr", "ssim"),
        "notes": (),
        "rows": (),
    }
    return Results.model_validate(plain | changes)
