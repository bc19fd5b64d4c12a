"""What every theorem is: from the truth behind an update to the images that it speaks of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fedleak.component import Component
from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.results.schema import THEORY_PREFIX
from fedleak.transcript.manifest import TrainingRecord


class NotApplicableError(Exception):
    """The theorem says nothing about this model, or this way of training."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Images that a theorem speaks of, and numbers about them.

    Attributes:
        images: ``(B, C, H, W)`` in [0, 1], in any order.
        metrics: of the whole update, by column.
    """

    images: Tensor
    metrics: Mapping[str, float] = field(default_factory=dict)


class Theory(Component):
    """A theorem made checkable: its images are scored like an attack's, as ``theory_`` and the kind.

    They are made from the truth, so scoring alone can make them, and they are no attack and no baseline.
    """

    @property
    def row_name(self) -> str:
        """What stands in the column of attacks."""
        return f"{THEORY_PREFIX}{self.kind}"

    @abstractmethod
    def predict(self, leaked: LeakedBatch, training: TrainingRecord, *, generator: torch.Generator) -> Prediction:
        """What the theorem says of the update behind ``leaked``.

        Args:
            leaked: the true batch, and the model that the update was computed on.
            training: how the client trained.
            generator: of random starts.

        Raises:
            NotApplicableError: saying why.
        """
