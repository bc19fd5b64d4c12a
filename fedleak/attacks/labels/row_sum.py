"""iDLG's label rule."""

from __future__ import annotations

from typing import Literal

import torch

from fedleak.attacks.labels.base import LabelInference, lowest_classes, output_gradient
from fedleak.threat import SharedUpdate


class RowSum(LabelInference):
    """The classes with the lowest row sums of the last weight gradient (iDLG, Zhao et al. 2020, arXiv 2001.02610).

    With one image and non-negative features only the true class has a negative sum. For more images it is the sum
    rule that GradInversion is compared with (Yin et al. 2021, arXiv 2104.07586, Table 1); repeats are not found.
    """

    kind: Literal["row_sum"] = "row_sum"

    def infer(self, update: SharedUpdate, *, count: int) -> torch.Tensor:
        """Sorted labels ``(count,)``, without repeats unless ``count`` exceeds the number of classes."""
        weight, _ = output_gradient(update)
        return lowest_classes(weight.sum(dim=1), count)
