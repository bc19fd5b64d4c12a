"""MSE, mean squared error."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from fedleak.metrics.base import Metric


class Mse(Metric):
    """Mean squared error over all values, examples in [0, 1]."""

    kind: Literal["mse"] = "mse"
    compares = "values"
    higher_is_better: ClassVar[bool] = False

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """``(N,)``, 0 is perfect."""
        return (reconstruction - truth).square().flatten(1).mean(dim=1)
