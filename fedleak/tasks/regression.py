"""Regression: one number per image."""

from __future__ import annotations

import math
from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fedleak import limits
from fedleak.tasks.base import LearningTask, Reduction


class Regression(LearningTask):
    """Regression: one number per image, squared error; the target is the class number scaled to [0, 1]."""

    kind: Literal["regression"] = "regression"
    tolerance: float = Field(default=0.1, gt=0, le=limits.RATE)
    """An output is correct if its distance to the target is below this value."""

    def outputs(self, classes: int) -> int:
        """One output."""
        return 1

    def chance(self, classes: int) -> float:
        """Largest share of the targets that lie within the tolerance of one output."""
        return min(1.0, max(1, math.ceil(2 * self.tolerance * (classes - 1))) / classes)

    def targets(self, labels: Tensor, classes: int) -> Tensor:
        """Targets ``(..., 1)`` in [0, 1]."""
        return labels.float().unsqueeze(-1) / max(1, classes - 1)

    def soft_targets(self, labels: Tensor, classes: int) -> Tensor:
        """The targets themselves."""
        return self.targets(labels, classes)

    def relaxed(self, variables: Tensor) -> Tensor:
        """The variables themselves."""
        return variables

    def found_labels(self, variables: Tensor, classes: int) -> Tensor:
        """The nearest class number."""
        return (variables[..., 0] * max(1, classes - 1)).round().clamp(0, classes - 1).long()

    def loss(self, outputs: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
        """Squared error, mean over the outputs."""
        errors = F.mse_loss(outputs, targets, reduction="none").mean(dim=-1)
        if reduction == "none":
            return errors
        return errors.mean() if reduction == "mean" else errors.sum()

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Whether the largest error is within the tolerance."""
        return ((outputs - targets).abs().amax(dim=-1) < self.tolerance).float()
