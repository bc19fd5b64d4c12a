"""Rows of scores: reconstructions matched to the images of their batch, with all metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from fedleak.attacks.matching import pairwise_squared_distance
from fedleak.errors import describe
from fedleak.metrics.base import Metric, MetricUnavailableError, PeerMetric, Peers
from fedleak.records import log_traceback
from fedleak.results.convergence import finite_values
from fedleak.results.schema import ResultRow
from fedleak.stages.score.truth import Truth
from fedleak.transcript.manifest import UpdateRecord

METRIC_BATCH = 256


@dataclass
class MatchedImages:
    """Reconstructions and their originals, in the order of the rows; metrics are computed later, in bulk."""

    rows: list[ResultRow] = field(default_factory=list)
    reconstructions: list[Tensor] = field(default_factory=list)
    originals: list[Tensor] = field(default_factory=list)

    def add_update(
        self,
        *,
        attack: str,
        kind: str,
        update: UpdateRecord,
        images: Tensor,
        truth: Truth,
        guesses: Sequence[int] | None = None,
        labels_ordered: bool = False,
        seconds: float | None = None,
        curve: Sequence[float] = (),
        kept: float | None = None,
        metrics: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Match the reconstruction of one batch and append a row for each of its images.

        Args:
            images: the reconstruction ``(A, C, H, W)``.
            guesses: labels, in the order of ``images`` if ``labels_ordered``.
            seconds, metrics: time and known values of the whole update; copied into each row.
            curve: matching loss by iteration; its start is copied into each row.
            kept: matching loss of the iterate that is the result, copied into each row; None: the lowest of the curve.
        """
        losses = finite_values(curve)
        places, originals = match(images, truth)
        labels = [int(truth.labels[i]) for i in originals]
        guessed = _guessed(guesses, places, labels, ordered=labels_ordered)
        for place, original, label, guess in zip(places, originals, labels, guessed, strict=True):
            victim, image = truth.places[original] if truth.places else (update.client, original)
            row = ResultRow(
                attack=attack,
                kind=kind,
                victim=victim,
                round=update.round,
                image=image,
                summed=update.summed,
                metrics=dict(metrics),
                label_true=label,
                label_guess=guess,
                seconds=seconds,
                encoded_bytes=update.bytes,
                matching_loss=min(losses, default=None) if kept is None else kept,
                matching_loss_start=losses[0] if losses else None,
            )
            self.rows.append(row)
            self.reconstructions.append(images[place].clamp(0, 1))
            self.originals.append(truth.images[original])


def match(images: Tensor, truth: Truth) -> tuple[list[int], list[int]]:
    """Match reconstructions to the true images so that the total squared error is minimal.

    Args:
        images: ``(A, C, H, W)``.
        truth: the batch of B images.

    Returns:
        Indices into ``images`` and into the truth, ``min(A, B)`` of each, sorted by the latter.
    """
    cost = pairwise_squared_distance(images[None], truth.images[None])[0]
    rows, columns = linear_sum_assignment(cost.numpy())
    pairs = sorted(zip(columns.tolist(), rows.tolist(), strict=True))
    return [row for _, row in pairs], [column for column, _ in pairs]


def assign_labels(guesses: Sequence[int], labels: Sequence[int]) -> list[int]:
    """Order an unordered guess of the batch's labels so that as many as possible match (instance-level accuracy)."""
    rest = list(guesses)
    assigned: list[int | None] = []
    for label in labels:
        if label in rest:
            rest.remove(label)
            assigned.append(label)
        else:
            assigned.append(None)
    return [rest.pop(0) if label is None else label for label in assigned]


def _guessed(
    guesses: Sequence[int] | None, places: Sequence[int], true_labels: Sequence[int], *, ordered: bool
) -> Sequence[int | None]:
    """The guessed label of each matched image; all None if there are fewer guesses than images."""
    if guesses is None or len(guesses) < len(places):
        return [None] * len(places)
    return [guesses[place] for place in places] if ordered else assign_labels(guesses, true_labels)


def evaluate_metrics(
    images: MatchedImages,
    metrics: Sequence[Metric],
    unavailable: dict[str, str],
    *,
    peers: Peers | None = None,
    log: Path | None = None,
) -> list[ResultRow]:
    """The rows with metric values added; an unavailable or failing metric is None, its reason in ``unavailable``.

    Args:
        peers: images for metrics that compare with other images (default: the originals).
        log: where the traceback of a failing metric is written.
    """
    values: dict[str, list[float | None]] = {}
    for metric in metrics:
        if metric.kind not in unavailable:
            try:
                values[metric.kind] = list(_evaluate(metric, images, peers))
                continue
            except MetricUnavailableError as error:
                unavailable[metric.kind] = str(error)
            except (Exception, SystemExit) as error:  # a metric may be a user's own code, which may raise anything
                unavailable[metric.kind] = f"it failed: {describe(error)}"
                if log is not None:
                    log_traceback(log, f"metric {metric.kind}", error)
        values[metric.kind] = [None] * len(images.rows)
    return [
        row.model_copy(update={"metrics": {name: column[i] for name, column in values.items()} | row.metrics})
        for i, row in enumerate(images.rows)
    ]


def _evaluate(metric: Metric, images: MatchedImages, peers: Peers | None) -> list[float]:
    result: list[float] = []
    for start in range(0, len(images.rows), METRIC_BATCH):
        some = slice(start, start + METRIC_BATCH)
        guesses, originals = torch.stack(images.reconstructions[some]), torch.stack(images.originals[some])
        if isinstance(metric, PeerMetric) and peers is not None:
            value = metric.evaluate_among(guesses, originals, peers)
        else:
            value = metric.evaluate(guesses, originals)
        if value.shape != (len(guesses),):
            raise ValueError(f"expected one value for each of {len(guesses)} images, got {tuple(value.shape)}")
        result += [float(v) for v in value]
    return result
