"""``fedleak.score``: reconstructions compared with the true images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedleak.attacks.matching import best_permutation
from fedleak.audit.given import component
from fedleak.audit.inverted import Inverted
from fedleak.errors import InputError
from fedleak.families import kinds
from fedleak.metrics.base import Metric, MetricUnavailableError


@dataclass(frozen=True, eq=False)
class MetricValues:
    """Reconstructions compared with originals, after one-to-one matching of least squared error.

    Attributes:
        order: index of the reconstruction matched to each original, ``(B,)``.
        values: metric -> one value per original.
        unavailable: metric -> why it has no values.
    """

    order: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]
    unavailable: Mapping[str, str] = field(default_factory=dict)

    @property
    def means(self) -> dict[str, float]:
        """Mean of each metric."""
        return {name: float(np.mean(column)) for name, column in self.values.items()}

    def __repr__(self) -> str:
        return "MetricValues(" + ", ".join(f"{name}={value:.4g}" for name, value in self.means.items()) + ")"


def score(
    reconstructed: Tensor | Inverted, originals: Tensor, metrics: Sequence[str | Metric] | None = None
) -> MetricValues:
    """Compare reconstructions with the true images.

    Args:
        reconstructed: ``(A, C, H, W)`` in [0, 1], or the result of ``invert``; at least as many as originals.
        originals: ``(B, C, H, W)`` in [0, 1], not normalised.
        metrics: kinds or metrics of your own (default: those of every run).

    Raises:
        InputError: if shapes or ranges do not fit, or a metric is unknown.
    """
    guesses = reconstructed.images if isinstance(reconstructed, Inverted) else reconstructed
    guesses, truth = guesses.detach().float().cpu(), originals.detach().float().cpu()
    if guesses.ndim != 4 or truth.ndim != 4 or guesses.shape[1:] != truth.shape[1:] or len(guesses) < len(truth):
        allowed = f"expected at least {len(truth)} images {tuple(truth.shape[1:])}"
        raise InputError("reconstructed", tuple(guesses.shape), allowed)
    if not (float(truth.min()) >= 0 and float(truth.max()) <= 1):
        low, high = float(truth.min()), float(truth.max())
        raise InputError("originals", f"values from {low:.3g} to {high:.3g}", "expected pixels in [0, 1]")
    order = best_permutation(guesses[None], truth[None])[0] if len(guesses) > 1 else torch.zeros(1, dtype=torch.int64)
    matched = guesses[order].clamp(0, 1)
    values: dict[str, tuple[float, ...]] = {}
    unavailable: dict[str, str] = {}
    for metric in _metrics(metrics):
        try:
            values[metric.kind] = tuple(float(value) for value in metric.evaluate(matched, truth))
        except MetricUnavailableError as error:
            unavailable[metric.kind] = str(error)
    return MetricValues(tuple(int(place) for place in order), values, unavailable)


def _metrics(asked: Sequence[str | Metric] | None) -> list[Metric]:
    known: Mapping[str, Any] = kinds("metric")
    if asked is None:
        return [kind() for kind in known.values() if issubclass(kind, Metric) and kind.is_default]
    return [component(one, "metric", Metric) for one in asked]
