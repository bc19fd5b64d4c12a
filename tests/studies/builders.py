"""Small studies: raw files, and measurements with chosen values."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fedleak.studies.ledger import METHOD, LedgerEntry, Machine
from fedleak.studies.matrix import Label
from fedleak.studies.measurements import Measurements
from fedleak.studies.records import CellRecord, Measured
from tests.scenarios import tiny

RESAMPLES = 400
BEATEN = 1000.0
Cell = Mapping[str, Mapping[str, Sequence[float]]]
"""Attack -> metric -> one value per image."""


def study(**blocks: Any) -> dict[str, Any]:
    """A study of four cells and two federations: the tiny scenario, one attack; ``blocks`` replace top-level keys."""
    raw = tiny()
    raw["attacks"] = [{"kind": "lti", "hidden": 8, "training": {"epochs": 1}}]
    raw["matrix"] = {"adversary.injection.pairs": [30, 60], "attacks.lti.hidden": [4, 8]}
    raw["claims"] = [{"monotone": {"metric": "mse", "along": "pairs", "direction": "decreasing"}}]
    raw["budgets"] = {"more": {"seeds": [0, 1], "matrix.attacks.lti.hidden": [8]}}
    return {**raw, **copy.deepcopy(blocks)}


def write_study(folder: Path, **blocks: Any) -> Path:
    """The same, as a file."""
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(study(**blocks)))
    return path


def record(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    group: str = "g",
    higher_is_better: Sequence[str] = (),
    test_images: int | None = None,
) -> CellRecord:
    """A finished cell: attack -> metric -> one value per image, each of an update of its own."""
    attacks = []
    for attack, metrics in values.items():
        count = max(len(column) for column in metrics.values())
        attacks.append(
            Measured(
                attack=attack,
                kind=attack,
                is_baseline=attack.startswith("baseline_"),
                images=tuple((i, 1, 0) for i in range(count)),
                metrics={name: list(column) for name, column in metrics.items()},
            )
        )
    return CellRecord(
        key="k",
        federation=group,
        images=group,
        status="ok",
        seconds=1.0,
        test_images=test_images,
        higher_is_better=tuple(higher_is_better),
        attacks=tuple(attacks),
    )


def with_baseline(values: Cell, higher_is_better: Sequence[str] = ()) -> Cell:
    """The values of a cell and, if there is no baseline, one that every attack beats."""
    if any(attack.startswith("baseline_") for attack in values):
        return values
    count = max(len(column) for metrics in values.values() for column in metrics.values())
    names = dict.fromkeys(name for metrics in values.values() for name in metrics)
    bad = {name: [-BEATEN if name in higher_is_better else BEATEN] * count for name in names}
    return {**values, "baseline_mean_image": bad}


def measurements(
    cells: Sequence[tuple[dict[str, Label], Mapping[str, Mapping[str, Sequence[float]]]]],
    *,
    seed: int = 0,
    higher_is_better: Sequence[str] = (),
    test_images: int | None = None,
) -> Measurements:
    """Measurements of one seed; every cell rebuilt the same images."""
    measured = Measurements(tuple(cells[0][0]), RESAMPLES)
    for point, values in cells:
        compared = with_baseline(values, higher_is_better)
        measured.add(point, seed, record(compared, higher_is_better=higher_is_better, test_images=test_images))
    return measured


def ledger_entry(**fields: Any) -> LedgerEntry:
    """An entry without scores or verdicts; ``fields`` replace its own."""
    own: dict[str, Any] = {
        "source": "run",
        "study": "small",
        "budget": None,
        "date": "2026-11-26",
        "commit": "abc1234",
        "fedleak": "0.1",
        "method": METHOD,
        "settings": {},
        "seeds": (0,),
        "machines": (Machine(cores=2, memory_gib=8.0),),
        "cell_seconds": 60.0,
        "metrics": ("mse",),
        "verdicts": (),
        "lines": (),
        "cells": (),
    }
    return LedgerEntry.model_validate(own | fields)
