"""Classification: one class per image."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from fedleak.tasks.base import LearningTask, Reduction


class Classification(LearningTask):
    """Classification: one class per image, cross-entropy."""

    kind: Literal["classification"] = "classification"

    def outputs(self, classes: int) -> int:
        """One logit per class."""
        return classes

    def targets(self, labels: Tensor, classes: int) -> Tensor:
        """The labels themselves."""
        return labels

    def soft_targets(self, labels: Tensor, classes: int) -> Tensor:
        """Class probabilities."""
        return F.one_hot(labels, classes).float()

    def relaxed(self, variables: Tensor) -> Tensor:
        """Softmax of free logits."""
        return variables.softmax(dim=-1)

    def found_labels(self, variables: Tensor, classes: int) -> Tensor:
        """The most probable class."""
        return variables.argmax(dim=-1)

    def loss(self, outputs: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
        """Cross-entropy."""
        return F.cross_entropy(outputs, targets, reduction=reduction)

    def soft_loss(self, outputs: Tensor, soft: Tensor) -> Tensor:
        """Mean cross-entropy against class probabilities."""
        return -(soft * F.log_softmax(outputs, dim=-1)).sum(dim=-1).mean()

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Whether the label has the largest logit."""
        return (outputs.argmax(dim=-1) == targets).float()


CLASSIFICATION = Classification()
