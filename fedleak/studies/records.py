"""Records of finished cells: small JSON, so that a thousand cells can be read in seconds. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from fedleak.records import ENCODED_BYTES, Record, read_json, write_atomically
from fedleak.results.judgement import Shortcoming
from fedleak.results.labels import class_accuracies
from fedleak.results.leakage import UpdateKey, worst_samples
from fedleak.results.schema import WEIGHT_DISTANCE, AttackSummary, Picture, ResultRow, Results

CELL = "cell.json"
LABEL_ACCURACY = "label_accuracy"
"""An additional metric of studies: 1 if the label was inferred correctly, else 0."""
LABEL_ACCURACY_CLASS = "label_accuracy_class"
"""The same at class level: every image has the value of its update."""
ACCURACY = "accuracy"
"""Test accuracy of the model that was broadcast in the round of the image's update."""
FINAL_ACCURACY = "final_accuracy"
"""Test accuracy of the global model after the last round, on every image."""
ACCURACIES = (LABEL_ACCURACY, LABEL_ACCURACY_CLASS, ACCURACY, FINAL_ACCURACY)
"""Additional metrics that are higher for better results."""
PICTURES_KEPT = 6
ImageKey = tuple[int, int, int]
"""Victim, round, image."""


class PrivacySpent(Record):
    """Differential privacy of the client with the largest epsilon."""

    epsilon: float
    """Infinite without noise."""
    delta: float
    unit: Literal["example", "client"]
    """Unit of privacy: one example, or all data of one client."""
    noise: Literal["client", "server"] = "client"
    """``server``: epsilon holds for the published models, not for the updates that the adversary sees."""


class Measured(Record):
    """One attack or baseline in one cell; each list of ``metrics`` has one value per image of ``images``."""

    attack: str
    kind: str
    is_baseline: bool
    adaptive: bool | None = None
    """Whether it adapts to the clients' post-processing."""
    images: tuple[ImageKey, ...]
    updates: tuple[UpdateKey, ...] = ()
    """Client and round of the update of each image; empty if it is that of the victim, as without sums."""
    metrics: dict[str, list[float | None]]
    failures: int = 0
    training_seconds: float | None = None
    training_cached: bool = False
    pictures: tuple[Picture, ...] = ()
    """Pictures of median rank, for the study's report; the files are in ``pictures/`` of the cell."""

    @model_validator(mode="after")
    def _one_value_per_image(self) -> Self:
        for name, column in self.metrics.items():
            if len(column) != len(self.images):
                raise ValueError(f"{name} has {len(column)} values for {len(self.images)} images")
        return self

    def by_round(self) -> dict[int, Measured]:
        """Round -> its images, identified by victim and position only: a client's rounds are compared in pairs."""
        places: dict[int, list[int]] = {}
        for place, (_, number, _) in enumerate(self.images):
            places.setdefault(number, []).append(place)
        return {number: self._part(some) for number, some in sorted(places.items())}

    def _part(self, places: list[int]) -> Measured:
        images = ((victim, 0, image) for victim, _, image in (self.images[place] for place in places))
        updates = tuple((client, 0) for client, _ in (self.clusters[place] for place in places))
        metrics = {name: [column[place] for place in places] for name, column in self.metrics.items()}
        return self.model_copy(update={"images": tuple(images), "updates": updates, "metrics": metrics})

    @property
    def clusters(self) -> tuple[UpdateKey, ...]:
        """The update of each image: images of one update are correlated."""
        return self.updates or tuple((victim, number) for victim, number, _ in self.images)


class CellRecord(Record):
    """A cell that is finished or has failed."""

    key: str
    federation: str
    images: str = ""
    """Content hash of the victims' images by update: cells with the same hash are compared image by image."""
    code: str = ""
    """Content hash of the code of its attacks: the cell runs again if that changes."""
    status: Literal["ok", "failed"]
    reason: str = ""
    log_tail: tuple[str, ...] = ()
    finished: str | None = None
    """When, in UTC (ISO 8601); unknown for older cells."""
    seconds: float
    """Time of attacking, scoring and reporting, without the federation."""
    accuracy: float | None = None
    """Test accuracy of the global model after the last round."""
    encoded_bytes: float | None = Field(default=None, validation_alias=ENCODED_BYTES)
    """Mean size of an update in fedleak's shortest lossless encoding."""
    bytes_per_round: float | None = None
    """Total over the clients that take part in a round."""
    test_images: int | None = None
    """Size of the test split behind the accuracies; unknown for older cells."""
    chance: float | None = None
    """Accuracy of the best constant answer; unknown for older cells."""
    defenses: tuple[str, ...] | None = None
    """What the clients do before they share; empty without a defense, None for older cells."""
    doubts: tuple[Shortcoming, ...] = ()
    """What the run lacks, as in its own report."""
    higher_is_better: tuple[str, ...] = ()
    privacy: PrivacySpent | None = None
    """None without differential privacy."""
    attacks: tuple[Measured, ...] = ()


def save_cell(folder: Path, record: CellRecord) -> None:
    """Write the record, as the last step of a cell."""
    write_atomically(folder / CELL, record.model_dump_json())


def load_cell(folder: Path) -> CellRecord | None:
    """The record of a cell; None if it is not finished."""
    try:
        return CellRecord.model_validate(read_json(folder / CELL))
    except (OSError, ValueError, ValidationError):
        return None


def privacy_spent(results: Results) -> PrivacySpent | None:
    """Epsilon and delta of a run; None without differential privacy."""
    if results.epsilon is None or results.delta is None:
        return None
    federation = results.scenario.get("federation")
    settings = federation.get("client_level_dp") if isinstance(federation, Mapping) else None
    central = isinstance(settings, Mapping) and settings.get("noise") == "central"
    return PrivacySpent(
        epsilon=results.epsilon,
        delta=results.delta,
        unit=results.privacy_unit or "example",
        noise="server" if central else "client",
    )


def least_private(spent: Iterable[PrivacySpent | None]) -> PrivacySpent | None:
    """The one with the largest epsilon, such as over seeds; None if none is private."""
    return max((each for each in spent if each is not None), key=lambda each: each.epsilon, default=None)


def measure(results: Results) -> tuple[Measured, ...]:
    """Results of a run by attack, as columns."""
    rows: dict[str, list[ResultRow]] = {summary.attack: [] for summary in results.attacks}
    for row in results.rows:
        if row.status == "ok" and row.image is not None:
            rows[row.attack].append(row)
    rates = worst_samples([summary for summary in results.attacks if not summary.is_baseline], rows)
    accuracies = {r.round: r.broadcast_accuracy for r in results.federation}
    final = results.federation[-1].accuracy if results.federation else None
    return tuple(_columns(s, rows[s.attack], rates.get(s.attack, {}), accuracies, final) for s in results.attacks)


def _columns(
    summary: AttackSummary,
    rows: list[ResultRow],
    worst: Mapping[str, Mapping[tuple[int, int], float]],
    accuracies: Mapping[int, float | None],
    final_accuracy: float | None,
) -> Measured:
    names = dict.fromkeys(name for row in rows for name in row.metrics)
    metrics: dict[str, list[float | None]] = {name: [row.metrics.get(name) for row in rows] for name in names}
    if any(row.label_guess is not None for row in rows):
        metrics[LABEL_ACCURACY] = [
            None if row.label_guess is None else float(row.label_guess == row.label_true) for row in rows
        ]
        by_update = class_accuracies(rows)
        metrics[LABEL_ACCURACY_CLASS] = [by_update.get(row.update) for row in rows]
    if summary.curves.get(WEIGHT_DISTANCE):
        metrics[WEIGHT_DISTANCE] = [_distance(summary)] * len(rows)
    for name, rates in worst.items():  # of the update, on each of its images
        metrics[name] = [rates.get(row.update) for row in rows]
    metrics[ACCURACY] = [accuracies.get(row.round) for row in rows]
    metrics[FINAL_ACCURACY] = [final_accuracy] * len(rows)
    return Measured(
        attack=summary.attack,
        kind=summary.kind,
        is_baseline=summary.is_baseline,
        adaptive=summary.adaptive,
        images=tuple((row.victim, row.round, row.image or 0) for row in rows),
        updates=tuple(row.update for row in rows) if any(row.summed for row in rows) else (),
        metrics=metrics,
        failures=summary.failures,
        training_seconds=summary.training_seconds,
        training_cached=summary.training_cached,
        pictures=tuple(picture for picture in summary.pictures if picture.rank == "median")[:PICTURES_KEPT],
    )


def _distance(summary: AttackSummary) -> float:
    """Weight distance of the epoch with the lowest held-out error, whose estimates the attack used."""
    distances, errors = summary.curves[WEIGHT_DISTANCE], summary.curves.get("held_out", [])
    best = min(range(len(errors)), key=errors.__getitem__) if len(errors) == len(distances) else -1
    return distances[best]
