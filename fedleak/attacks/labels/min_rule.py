"""GradInversion's batch label restoration."""

from __future__ import annotations

from typing import Literal

import torch

from fedleak.attacks.labels.base import LabelInference, lowest_classes, output_gradient
from fedleak.threat import SharedUpdate


class MinRule(LabelInference):
    """The classes whose rows have the lowest minima (GradInversion, Yin et al. 2021, arXiv 2104.07586, Eq. 8).

    Assumes non-negative features and no repeated classes.
    """

    kind: Literal["min_rule"] = "min_rule"

    def infer(self, update: SharedUpdate, *, count: int) -> torch.Tensor:
        """Sorted labels ``(count,)``, without repeats unless ``count`` exceeds the number of classes."""
        weight, _ = output_gradient(update)
        return lowest_classes(weight.amin(dim=1), count)
