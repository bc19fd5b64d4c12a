"""What every image metric is, and the scenario block that chooses among them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import create_model

from fedleak.component import Component, Settings


class MetricUnavailableError(Exception):
    """The metric cannot be computed on this machine; its values stay absent."""


class Metric(Component):
    """A pure function of reconstructions and originals; the kind is the column's name."""

    higher_is_better: ClassVar[bool]

    @abstractmethod
    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Both ``(N, C, H, W)`` in [0, 1], already matched -> ``(N,)``.

        Raises:
            MetricUnavailableError: if something it needs (weights) is not to be had.
        """


class MetricSettings(Settings):
    """The scenario's ``metrics`` block: one optional mapping per kind, all on by default, ``null`` to leave one out."""

    def enabled(self) -> tuple[Metric, ...]:
        """The chosen metrics."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return tuple(value for value in values if isinstance(value, Metric))


def metric_settings(kinds: Mapping[str, type[Component]]) -> type[MetricSettings]:
    """The settings class with one field for each kind."""
    fields: dict[str, Any] = {name: (cls | None, cls()) for name, cls in kinds.items()}
    return create_model("Metrics", __base__=MetricSettings, __doc__=MetricSettings.__doc__, **fields)
