"""The table of contents of a transcript, versioned and checksummed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from operator import not_
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from fedleak.errors import InputError
from fedleak.records import Record, read_json
from fedleak.transcript.consistency import contradictions
from fedleak.transcript.fields import (
    Count,
    Finite,
    Name,
    NotNegative,
    Positive,
    PositiveFinite,
    Sha256,
    Shape,
    Share,
)
from fedleak.transcript.layout import Layout

FORMAT = "fedleak-transcript"
VERSION = 1
MANIFEST = "manifest.json"
CLASSIFICATION: dict[str, Any] = {"kind": "classification"}

Protocol = Literal["fedsgd", "fedavg"]
Status = Literal["ok", "failed", "missing", "non_finite"]


class UpdateRecord(Record):
    """One expected update, or sum of updates; ``row`` is its row in ``updates.npy``."""

    row: Count
    round: Count
    client: Count
    """The client that sent it; for a sum, the first client."""
    summed: tuple[Count, ...] = ()
    """Clients in the sum, which is their mean weighted by number of images; empty for a single client's update."""
    model_version: Count
    """Rounds that had been aggregated into the model it was computed on; attacks know it only if it is granted."""
    samples: Count | None = None
    bytes: Count | None = None
    """Its size in the shortest lossless encoding, including shared buffers; unknown for updates from other sources."""
    status: Status
    reason: str = ""
    true_labels: tuple[Count, ...] | None = None
    """Labels of its images; recorded only if the scenario grants ``true_labels`` by name."""
    mini_batches: tuple[tuple[Count, ...], ...] | None = None
    """Images of each local step, numbered in class order; recorded only if ``mini_batch_order`` is granted by name."""

    @property
    def clients(self) -> tuple[int, ...]:
        """Clients whose images are behind it."""
        return self.summed or (self.client,)

    @property
    def current_version(self) -> int:
        """Version of the model that the server broadcast in the round of the update."""
        return max(0, self.round - 1)


class RoundRecord(Record):
    """One round of the federation as the server saw it; accuracy and loss are on the test split."""

    round: Count
    accuracy: float
    loss: float
    broadcast_accuracy: float | None = None
    """Accuracy of the model broadcast in this round; unknown for older transcripts."""
    test_images: Count | None = None
    """Size of the test split behind the accuracies; unknown for older transcripts."""
    replies: Count
    failures: tuple[str, ...] = ()
    updates: tuple[UpdateRecord, ...] = ()


class PairsRecord(Record):
    """The injected pairs: row ``i`` of ``pairs/updates.npy`` is the update for images ``pairs/index.npy[i]``."""

    count: Positive
    images_per_pair: Positive
    model_versions: tuple[Count, ...]
    """Model version of each equal share of the pairs, in order."""
    postprocessed: bool = True
    """Whether the pairs passed through the clients' post-processing."""
    drifted: Annotated[bool, Field(exclude_if=not_)] = False
    """Whether the compromised client trained on its own images before it computed them; written only if so."""


class PrivacyRecord(Record):
    """Differential privacy of the client with the largest epsilon, by the RDP accountant."""

    unit: Literal["example", "client"] = "example"
    """Unit of privacy: hides whether one example, or one client, took part."""
    noise: Literal["client", "server"] = "client"
    """Party that adds the noise: the client before the server sees an update, or the server after."""
    adjacency: Literal["add_or_remove", "replace"] | None = Field(default=None, exclude_if=lambda value: value is None)
    """Neighbouring data sets for which epsilon holds: with and without one unit, or with another one in its place."""
    epsilon: NotNegative
    """Infinite without noise."""
    delta: Share
    noise_multiplier: NotNegative
    max_norm: PositiveFinite


class TrainingRecord(Record):
    """Local training settings of the clients."""

    local_learning_rate: PositiveFinite
    local_epochs: Positive
    batch_size: Positive
    samples: Positive | None
    batch_norm: str
    dropout: Annotated[bool, Field(exclude_if=not_)] = False
    """Whether clients train with dropout; written only if so."""
    postprocess: tuple[dict[str, Any], ...]
    local_sgd: dict[str, Any] = {}
    local_optimizer: dict[str, Any] | None = Field(default=None, exclude_if=lambda value: value is None)
    """A local optimiser other than SGD; written only if there is one."""
    proximal_mu: Annotated[NotNegative, Field(exclude_if=not_)] = 0.0
    """Weight of FedProx's proximal term; written only if it is not zero."""
    error_feedback: bool = False
    dp_sgd: dict[str, Any] | None = None
    augment: tuple[dict[str, Any], ...] = ()
    guards: tuple[dict[str, Any], ...] = ()
    unknown: Annotated[tuple[Name, ...], Field(exclude_if=not_)] = ()
    """Settings that whoever recorded the federation does not know: their values are no facts, and attacks are not told.
    Written only if there are any."""


class FederationRecord(Record):
    """Facts about a federation as a whole."""

    protocol: Protocol
    model: dict[str, Any]
    """Settings of the model, from which attacks build the network."""
    task: dict[str, Any] = CLASSIFICATION
    input_shape: Shape
    classes: Positive
    class_names: tuple[str, ...]
    mean: tuple[Finite, ...]
    std: tuple[PositiveFinite, ...]
    privacy: PrivacyRecord | None = None
    nonce: str | None = None
    """Root of the adversary's random streams."""
    frozen: tuple[str, ...] = ()
    """Parameters that clients do not train."""
    crafting: dict[str, Any] | None = None
    """Settings of a malicious server."""


class Manifest(Record):
    """Everything about a transcript except its arrays."""

    format: Literal["fedleak-transcript"] = "fedleak-transcript"
    version: Literal[1] = 1
    fingerprint: str
    """Content hash of the scenario parts that the federation depends on."""
    nonce: str | None = None
    """Root of the adversary's random streams; says nothing of the clients'. None: the fingerprint serves as one."""
    protocol: Protocol
    model: dict[str, Any]
    task: dict[str, Any] = CLASSIFICATION
    """The learning task; written only if it is not classification."""
    input_shape: Shape
    classes: Positive
    class_names: tuple[str, ...]
    mean: tuple[Finite, ...]
    std: tuple[PositiveFinite, ...]
    parameters: Layout
    """The trained parameters, which updates hold."""
    frozen: Annotated[tuple[Name, ...], Field(exclude_if=not_)] = ()
    """Parameters that clients do not train: a public part of the model; written only if there are any."""
    buffers: tuple[Name, ...]
    crafting: dict[str, Any] | None = Field(default=None, exclude_if=lambda value: value is None)
    """Settings of a malicious server, whose models are in ``sent/``; written only if there is one."""
    training: TrainingRecord
    rounds: tuple[RoundRecord, ...]
    pairs: PairsRecord | None
    privacy: PrivacyRecord | None = None
    checksums: dict[Name, Sha256]
    """Relative file name -> SHA-256."""

    @model_serializer(mode="wrap")
    def _without_the_usual_task(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        raw: dict[str, Any] = write(self)
        if raw.get("task") == CLASSIFICATION:
            del raw["task"]
        if raw.get("nonce") is None:
            raw.pop("nonce", None)
        return raw

    @property
    def stream_root(self) -> str:
        """Root of the random streams of attacks."""
        return self.nonce or self.fingerprint

    @property
    def updates(self) -> tuple[UpdateRecord, ...]:
        """All updates of all rounds."""
        return tuple(update for record in self.rounds for update in record.updates)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(value: Mapping[str, Any] | list[Any]) -> str:
    """SHA-256 of a JSON value in canonical form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def load_manifest(folder: Path) -> Manifest:
    """Read ``folder/manifest.json``; what it says is checked as far as it can be without any other file.

    Raises:
        InputError: if it is missing, damaged, contradicts itself, or is of another format or version.
    """
    path = folder / MANIFEST
    try:
        raw = read_json(path)
    except FileNotFoundError:
        raise InputError("transcript", str(folder), "it contains no finished transcript (run the federation)") from None
    except (OSError, ValueError) as error:
        raise InputError("transcript", str(path), f"not a readable manifest ({error})") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT or raw.get("version") != VERSION:
        found = (raw.get("format"), raw.get("version")) if isinstance(raw, dict) else type(raw).__name__
        raise InputError("transcript", found, f"expected format {FORMAT!r}, version {VERSION}")
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"transcript.{where}", first.get("input"), f"{first['msg']} (in {path})") from error
    for problem in contradictions(manifest):
        raise InputError(problem.path, problem.value, f"{problem.allowed} (in {path})")
    return manifest
