"""Multi-label classification: several binary attributes per image."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fedleak import limits
from fedleak.tasks.base import LearningTask, Reduction

ClassNumber = Annotated[int, Field(ge=0, lt=limits.CLASSES)]


class MultiLabel(LearningTask):
    """Multi-label classification: several binary attributes per image, binary cross-entropy."""

    kind: Literal["multi_label"] = "multi_label"
    attributes: tuple[tuple[ClassNumber, ...], ...] = Field(min_length=1)
    """For each attribute, the class numbers that have it: ``[[0, 2, 4], [1, 2]]`` defines two attributes."""

    def outputs(self, classes: int) -> int:
        """One logit per attribute."""
        return len(self.attributes)

    def check_classes(self, classes: int) -> None:
        """Every class number must be one of the data set's."""
        absent = sorted({member for members in self.attributes for member in members if member >= classes})
        if absent:
            raise ValueError(f"attributes name class {absent[0]}; the data set has classes 0 to {classes - 1}")

    def chance(self, classes: int) -> float:
        """Mean over the attributes of the share of their more frequent value."""
        shares = [len({c for c in attribute if c < classes}) / classes for attribute in self.attributes]
        return sum(max(share, 1 - share) for share in shares) / len(shares)

    def targets(self, labels: Tensor, classes: int) -> Tensor:
        """Attributes ``(..., D)``, zeros and ones."""
        table = torch.zeros(classes, len(self.attributes), device=labels.device)
        for column, members in enumerate(self.attributes):
            table[[member for member in members if member < classes], column] = 1.0
        return table[labels]

    def soft_targets(self, labels: Tensor, classes: int) -> Tensor:
        """The targets themselves."""
        return self.targets(labels, classes)

    def relaxed(self, variables: Tensor) -> Tensor:
        """Sigmoid of free logits."""
        return variables.sigmoid()

    def found_labels(self, variables: Tensor, classes: int) -> Tensor:
        """The class with the nearest attributes; the first in case of a tie."""
        table = self.targets(torch.arange(classes, device=variables.device), classes)
        distances = (variables.sigmoid().unsqueeze(-2) - table).square().sum(dim=-1)
        return distances.argmin(dim=-1)

    def loss(self, outputs: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
        """Binary cross-entropy, mean over the attributes."""
        errors = F.binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(dim=-1)
        if reduction == "none":
            return errors
        return errors.mean() if reduction == "mean" else errors.sum()

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Fraction of the attributes that are predicted correctly."""
        return ((outputs > 0) == (targets > 0.5)).float().mean(dim=-1)
