"""SSIM, structural similarity."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from fedleak.metrics.base import Metric

SMALL = 16
"""Side in pixels below which a 7x7 uniform window replaces the 11x11 Gaussian window."""


class Ssim(Metric):
    """Structural similarity index, 11x11 Gaussian window (Wang et al. 2004, IEEE TIP 13(4)); 7x7 under 16 pixels."""

    kind: Literal["ssim"] = "ssim"
    higher_is_better: ClassVar[bool] = True

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """``(N,)``, 1 is perfect."""
        from torchmetrics.functional.image import (
            structural_similarity_index_measure,
        )  # slow to import, and needed only here

        small = min(truth.shape[-2:]) < SMALL
        value = structural_similarity_index_measure(
            reconstruction,
            truth,
            gaussian_kernel=not small,
            kernel_size=7 if small else 11,
            data_range=1.0,
            reduction="none",
        )
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"expected one tensor, got {type(value)}")
        return value.reshape(-1)
