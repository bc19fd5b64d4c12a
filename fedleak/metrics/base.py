"""What every image metric is, and the scenario block that chooses among them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import create_model

from fedleak.component import Component, Settings
from fedleak.data.sources.base import Dataset


class MetricUnavailableError(Exception):
    """The metric cannot be computed on this machine; its values stay absent."""


@dataclass(frozen=True, eq=False)
class Peers:
    """Images that a reconstruction could be mistaken for: ``(M, C, H, W)`` in [0, 1], and labels ``(M,)``."""

    images: torch.Tensor
    labels: torch.Tensor


class Metric(Component):
    """A pure function of reconstructions and originals; the kind is the column's name."""

    higher_is_better: ClassVar[bool]
    is_default: ClassVar[bool] = True
    """Computed unless left out; else only where the scenario names it."""

    @abstractmethod
    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Both ``(N, C, H, W)`` in [0, 1], already matched -> ``(N,)``.

        Raises:
            MetricUnavailableError: if something it needs (weights) is not to be had.
        """

    def objection(self, private: Dataset) -> str:
        """Why it says nothing about images of this data set, which clients hold; empty if it does."""
        return ""

    def note(self) -> str:
        """What a reader must know about how it was computed; empty if nothing."""
        return ""


class PeerMetric(Metric):
    """A metric that compares with other images, too."""

    @abstractmethod
    def evaluate_among(self, reconstruction: torch.Tensor, truth: torch.Tensor, peers: Peers) -> torch.Tensor:
        """As ``evaluate``, where ``peers`` may hold the originals themselves."""

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """With no peers but the originals of the batch."""
        return self.evaluate_among(reconstruction, truth, Peers(truth, torch.zeros(len(truth), dtype=torch.int64)))


class MetricSettings(Settings):
    """The scenario's ``metrics`` block: one optional mapping per kind, ``null`` to leave one out.

    Most are on by default; the others (``iip``, ``leaked``, ``leaked_ssim``) are computed where they are named.
    """

    def enabled(self) -> tuple[Metric, ...]:
        """The chosen metrics."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return tuple(value for value in values if isinstance(value, Metric))

    @classmethod
    def leaves_trace(cls, name: str, value: object) -> bool:
        """Whether a kind's setting belongs in a fingerprint: one that is off unless named, and not named, does not.

        So a further such kind changes no fingerprint, and no finished work is done again.
        """
        return value is not None or cls.model_fields[name].default is not None


def metric_settings(kinds: Mapping[str, type[Component]]) -> type[MetricSettings]:
    """The settings class with one field for each kind."""
    fields: dict[str, Any] = {
        name: (cls | None, cls() if issubclass(cls, Metric) and cls.is_default else None) for name, cls in kinds.items()
    }
    return create_model("Metrics", __base__=MetricSettings, __doc__=MetricSettings.__doc__, **fields)
