"""Base class of theorems: from the ground truth of an update to the predicted images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from fedleak.component import Component
from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.results.schema import THEORY_PREFIX
from fedleak.transcript.manifest import TrainingRecord


class NotApplicableError(Exception):
    """The theorem does not apply to this model or this kind of training."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Images that a theorem predicts, and numbers about them.

    Attributes:
        images: ``(B, C, H, W)`` in [0, 1], in any order.
        metrics: of the whole update, by column.
    """

    images: Tensor
    metrics: Mapping[str, float] = field(default_factory=dict)


class Theory(Component):
    """Base class of theorems: the predicted images are scored like an attack's, as ``theory_`` and the kind.

    They are computed from the ground truth at scoring, so they are neither an attack nor a baseline.
    """

    columns: ClassVar[tuple[str, ...]] = ()
    """Names of the numbers in ``Prediction.metrics``."""

    @property
    def row_name(self) -> str:
        """Name in the column of attacks."""
        return f"{THEORY_PREFIX}{self.kind}"

    @abstractmethod
    def predict(self, leaked: LeakedBatch, training: TrainingRecord, *, generator: torch.Generator) -> Prediction:
        """The theorem's prediction for the update of the batch ``leaked``.

        Args:
            leaked: the true batch, and the model that the update was computed on.
            training: the client's training settings.
            generator: for random starts.

        Raises:
            NotApplicableError: if the theorem does not apply; the message gives the reason.
        """
