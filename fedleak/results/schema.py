"""Schema of ``results.json`` and ``results.csv``."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from fedleak.errors import InputError
from fedleak.records import ENCODED_BYTES, Record, read_json, write_atomically

RESULTS_JSON = "results.json"
RESULTS_CSV = "results.csv"
PICTURES = "pictures"
WEIGHT_DISTANCE = "weight_distance"
"""Curve of attacks that estimate the leaked weights: relative distance of the estimates over training."""
EVIDENCE_BOUND = "evidence_bound"
"""Curve of attacks that train a variational autoencoder: its negative evidence lower bound, in nats per image."""
THEORY_PREFIX = "theory_"
"""Prefix of the names of theoretical predictions in the list of attacks."""
CORE_METRICS = ("mse", "psnr", "ssim", "lpips")


class Interval(Record):
    """A mean over images with its 95 % interval; without bounds for too few images or updates."""

    mean: float
    low: float | None = None
    high: float | None = None


class MatchingLoss(Record):
    """How far an optimisation-based attack matched the updates, and whether its searches had ended.

    Losses are means over the updates on which it worked. Only losses of one distance can be compared.
    """

    start: float
    """Of the first iterate."""
    final: float
    """Of the iterate that was kept: the last or the lowest, by the attack's setting ``keep``."""
    iterations: int
    """Iterations of the longest search."""
    late_fall: float
    """Share by which the lowest loss fell over the last tenth of the iterations."""
    updates: int
    """Number of updates."""
    unfinished: int
    """Number of updates on which the loss was still falling at the end, or never left its start."""


class ReducedBudget(Record):
    """A setting of an attack that gives it less work than the default of its kind."""

    setting: str
    """Path in the attack's settings, such as ``training.epochs``."""
    value: int
    default: int


class ResultRow(Record):
    """One reconstructed image, one baseline image, or one failure (``image`` is None)."""

    attack: str
    kind: str
    victim: int
    round: int
    image: int | None = None
    summed: tuple[int, ...] = ()
    """Clients in the sum from which it was rebuilt; empty if the adversary saw the victim's own update."""
    metrics: dict[str, float | None] = {}
    label_true: int | None = None
    label_guess: int | None = None
    seconds: float | None = None
    encoded_bytes: int | None = Field(default=None, validation_alias=ENCODED_BYTES)
    """Size of the image's update in fedleak's shortest lossless encoding, without network framing."""
    matching_loss: float | None = None
    """Matching loss of the iterate that was kept on the image's update; None for attacks without a search."""
    matching_loss_start: float | None = None
    """The same at the start of the search."""
    status: Literal["ok", "failed"] = "ok"
    reason: str = ""

    @classmethod
    def failed(
        cls,
        reason: str,
        *,
        attack: str,
        kind: str,
        victim: int,
        round: int,
        summed: tuple[int, ...] = (),
        seconds: float | None = None,
        encoded_bytes: int | None = None,
    ) -> Self:
        """The row of an update on which the attack failed; it has no image and no metrics."""
        return cls(
            attack=attack,
            kind=kind,
            victim=victim,
            round=round,
            summed=summed,
            seconds=seconds,
            encoded_bytes=encoded_bytes,
            status="failed",
            reason=reason,
        )

    @property
    def update(self) -> tuple[int, int]:
        """The update that it was rebuilt from: the client that sent it, or the first one in a sum, and the round."""
        return (self.summed or (self.victim,))[0], self.round

    @model_validator(mode="after")
    def _failure_is_no_score(self) -> Self:
        if self.status == "failed" and self.metrics:
            raise ValueError("a failed attack has no metrics")
        return self


class RoundSummary(Record):
    """Mean metrics of one attack over the images of one round."""

    round: int
    metrics: dict[str, Interval]


class Picture(Record):
    """Files in ``pictures/`` of an original and its reconstruction."""

    rank: Literal["best", "median", "worst", "first", "unscored"]
    victim: int
    round: int
    image: int
    original: str
    """Empty if nobody knows it."""
    reconstruction: str
    note: str = ""
    """What is known of it beside scores, such as inferred labels."""
    metrics: dict[str, float | None]


class AttackSummary(Record):
    """One line of the results table: an attack or a baseline."""

    attack: str
    kind: str
    is_baseline: bool
    is_theory: bool = False
    """Whether it is a theoretical prediction from the true images: neither an attack nor a baseline to beat."""
    description: str
    settings: dict[str, object] = {}
    capabilities: tuple[str, ...] = ()
    """Names of the capabilities that the attack was given."""
    images: int
    unscored: int = 0
    """Images that were rebuilt, but cannot be scored, because nobody knows the originals."""
    failures: int = 0
    metrics: dict[str, Interval]
    adaptive: bool | None = None
    """Whether the attack adapts to the clients' post-processing; None for baselines."""
    local_knowledge: str | None = None
    """What the attack knew of the local training behind weight deltas; None for gradients or if irrelevant."""
    label_accuracy: float | None = None
    """Instance level: share of images whose label was inferred correctly."""
    label_accuracy_class: float | None = None
    """Class level: Jaccard index of the inferred classes and those in the batch, mean over updates."""
    worst_sample: dict[str, float] = {}
    """``wsrr`` or ``wsrr_ssim``: the worst-sample reconstruction rate over initialisations, mean over updates."""
    label_source: Literal["inferred", "true", "attack", "none"] = "none"
    """``true``: from an oracle, which no real attacker has."""
    training_seconds: float | None = None
    training_cached: bool = False
    """Whether the generator came from the cache; ``training_seconds`` is then its original training time."""
    seconds_per_reconstruction: float | None = None
    peak_memory_bytes: int | None = None
    parameters: int | None = None
    curves: dict[str, list[float]] = {}
    """Learning curves by epoch: ``train`` and ``held_out`` are mean squared errors, ``weight_distance`` is relative,
    ``evidence_bound`` is in nats and may be negative; other names are quantities of their own."""
    matching: MatchingLoss | None = None
    """Matching loss of an optimisation-based attack; None for others."""
    reduced: tuple[ReducedBudget, ...] = ()
    """Budgets below the defaults of the attack's kind."""
    rounds: tuple[RoundSummary, ...] = ()
    pictures: tuple[Picture, ...] = ()
    compared: tuple[Picture, ...] = ()
    """Pictures of the run's first images, not selected by score; empty for baselines."""


class FederationRound(Record):
    """The global model after a round, on the test split."""

    round: int
    accuracy: float
    loss: float
    failures: tuple[str, ...] = ()
    broadcast_accuracy: float | None = None
    """Accuracy of the model that was broadcast in this round, the one under attack."""
    test_images: int | None = None
    """Size of the test split behind the accuracies; unknown for older transcripts."""
    analyses: dict[str, Interval] = {}
    """Means over the victims' images of the round, by kind of analysis."""


class CapabilityNote(Record):
    """One piece of the adversary's knowledge, for the report."""

    name: str
    level: int | None
    summary: str
    used_by: tuple[str, ...]


class Results(Record):
    """All results of a run."""

    format: Literal["fedleak-results"] = "fedleak-results"
    version: Literal[1] = 1
    fingerprint: str
    name: str
    description: str
    scenario: dict[str, object]
    environment: dict[str, object]
    protocol: str
    compromised: int | None
    pairs: int | None
    capabilities: tuple[CapabilityNote, ...]
    classes: int | None = None
    """Number of classes of the data set; unknown for older results."""
    chance: float | None = None
    """Accuracy of the best constant answer if all classes are equally frequent; unknown for older results."""
    federation: tuple[FederationRound, ...]
    attacks: tuple[AttackSummary, ...]
    """Attacks in the order of the scenario, then baselines."""
    higher_is_better: tuple[str, ...]
    """Metrics that are higher for better reconstructions."""
    epsilon: float | None = None
    """Epsilon of the least private client; None without differential privacy."""
    delta: float | None = None
    privacy_unit: Literal["example", "client"] | None = None
    """Unit of privacy: one example, or all data of one client."""
    encoded_bytes: float | None = Field(default=None, validation_alias=ENCODED_BYTES)
    """Mean size of a recorded update in fedleak's shortest lossless encoding."""
    withheld: tuple[CapabilityNote, ...] = ()
    """Capabilities that the adversary was not granted."""
    notes: tuple[str, ...]
    """Notes for the reader: absent metrics, skipped updates, failures."""
    rows: tuple[ResultRow, ...]


def metric_names(rows: tuple[ResultRow, ...]) -> list[str]:
    """The four core metrics, then others in order of appearance."""
    names = list(CORE_METRICS)
    for row in rows:
        names += [name for name in row.metrics if name not in names]
    return names


def to_csv(rows: tuple[ResultRow, ...]) -> str:
    """One line per image; absent values are empty cells."""
    names = metric_names(rows)
    core, further = names[: len(CORE_METRICS)], names[len(CORE_METRICS) :]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    keys = ["attack", "kind", "victim", "round", "image"]
    losses = ["matching_loss", "matching_loss_start"]
    writer.writerow(
        [*keys, *core, "label_true", "label_guess", "seconds", *further, "encoded_bytes", *losses, "status", "reason"]
    )
    for row in rows:
        cells = [row.attack, row.kind, row.victim, row.round, row.image, *(row.metrics.get(n) for n in core)]
        cells += [row.label_true, row.label_guess, row.seconds, *(row.metrics.get(n) for n in further)]
        cells += [row.encoded_bytes, row.matching_loss, row.matching_loss_start, row.status, row.reason]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return out.getvalue()


def save_results(folder: Path, results: Results) -> None:
    """Write ``results.csv`` and ``results.json``."""
    write_atomically(folder / RESULTS_CSV, to_csv(results.rows))
    write_atomically(folder / RESULTS_JSON, results.model_dump_json(indent=1))


def load_results(folder: Path) -> Results:
    """Read ``results.json`` back.

    Raises:
        InputError: if it is missing or of another format.
    """
    path = folder / RESULTS_JSON
    try:
        return Results.model_validate(read_json(path))
    except FileNotFoundError:
        raise InputError("RUN_DIR", str(folder), "it holds no results.json; run the attack stage first") from None
    except (OSError, ValueError, ValidationError) as error:
        raise InputError("RUN_DIR", str(path), f"not readable results ({str(error).splitlines()[0]})") from error
