"""Results of a study: ``study.json`` and ``study.csv``. Torch-free, so that reports load fast."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from fedleak.errors import InputError
from fedleak.records import Record, read_json, write_atomically
from fedleak.results.schema import Interval
from fedleak.studies.claims.base import ClaimVerdict
from fedleak.studies.matrix import Label, Point
from fedleak.studies.records import CellRecord, PrivacySpent

STUDY_JSON = "study.json"
STUDY_CSV = "study.csv"
PRIVACY = ("epsilon", "delta")
"""Columns of ``study.csv`` for the differential privacy of a cell; empty without it."""


class PublishedNumber(Record):
    """A number of the paper and the place of the study that it belongs to."""

    metric: str
    value: float
    where: dict[str, Label]


class StudyLine(Record):
    """One attack or baseline at one point, over all seeds."""

    point: Point
    attack: str
    is_baseline: bool
    adaptive: bool | None = None
    """Whether it adapts to the clients' post-processing."""
    images: int
    seeds: int
    failures: int
    privacy: PrivacySpent | None = None
    """Of the updates that an attack sees, for the least private seed; None without privacy and for baselines."""
    metrics: dict[str, Interval]
    published: dict[str, float] = {}


class CellLine(Record):
    """Status of one cell."""

    key: str
    point: Point
    seed: int
    status: Literal["ok", "failed", "waiting"]
    seconds: float | None = None
    privacy: PrivacySpent | None = None
    reason: str = ""
    log_tail: tuple[str, ...] = ()


class PairedDifference(Record):
    """A metric of one attack in two runs on the same images."""

    attack: str
    metric: str
    images: int
    first: float
    """Mean of the first run over these images."""
    second: float
    difference: Interval
    """Mean of second minus first over the images, with the interval over updates."""


class FigureChoice(Record):
    """The metrics and the axis of the figure."""

    metric: str
    along: str
    logarithmic: bool = False
    beside: tuple[str, ...] = ()


class StudyResults(Record):
    """All results of a study except the values of single images."""

    format: Literal["fedleak-study"] = "fedleak-study"
    version: Literal[1] = 1
    name: str
    description: str
    budget: str | None
    axes: tuple[str, ...]
    seeds: tuple[int, ...]
    federations: int
    higher_is_better: tuple[str, ...]
    metrics: tuple[str, ...]
    """Metrics of the table."""
    figure: FigureChoice | None
    source: str
    setting: str
    published: tuple[PublishedNumber, ...]
    verdicts: tuple[ClaimVerdict, ...]
    lines: tuple[StudyLine, ...]
    round_lines: tuple[StudyLine, ...] = ()
    """Lines with ``round`` as an additional axis; only if the figure is along it."""
    paired: tuple[PairedDifference, ...] = ()
    """Of a comparison of two runs on the same images; empty for others."""
    cells: tuple[CellLine, ...]
    notes: tuple[str, ...]
    judged_by: str | None = None
    """Commit of the code that judged the claims; None where it is unknown."""
    study: str
    """The study file as it was run, YAML."""


def save_study(root: Path, results: StudyResults) -> None:
    """Write ``study.json``."""
    write_atomically(root / STUDY_JSON, results.model_dump_json(indent=1))


def load_study_results(root: Path) -> StudyResults:
    """Read ``study.json`` back.

    Raises:
        InputError: if it is missing or of another format.
    """
    path = root / STUDY_JSON
    try:
        return StudyResults.model_validate(read_json(path))
    except FileNotFoundError:
        raise InputError("STUDY_DIR", str(root), "it holds no study.json; run the study first") from None
    except (OSError, ValueError, ValidationError) as error:
        raise InputError("STUDY_DIR", str(path), f"not a readable study ({str(error).splitlines()[0]})") from error


def save_rows(root: Path, axes: tuple[str, ...], cells: list[tuple[Point, int, CellRecord]]) -> None:
    """Write ``study.csv``: one line per image of every finished cell; absent values are empty cells.

    Written line by line, since there may be millions, and moved into place at the end.
    """
    measured = [m for _, _, record in cells for m in record.attacks]
    names = list(dict.fromkeys(name for m in measured for name in m.metrics))
    temporary = root / f".{STUDY_CSV}.{os.getpid()}"
    with temporary.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["cell", *axes, "seed", "attack", "kind", "victim", "round", "image", *names, *PRIVACY])
        for point, seed, record in cells:
            place = [record.key, *(point[axis] for axis in axes), seed]
            privacy = record.privacy
            spent = (privacy.epsilon, privacy.delta) if privacy else (None, None)
            writer.writerows([*place, *row, *spent] for row in _rows(record, names))  # None becomes an empty cell
    temporary.replace(root / STUDY_CSV)


def _rows(record: CellRecord, names: list[str]) -> Iterator[list[object]]:
    for m in record.attacks:
        columns = [m.metrics.get(name) or [None] * len(m.images) for name in names]
        for i, image in enumerate(m.images):
            yield [m.attack, m.kind, *image, *(column[i] for column in columns)]
