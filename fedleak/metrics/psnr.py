"""PSNR, peak signal-to-noise ratio."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from fedleak.metrics.base import Metric

PERFECT_DB = 100.0
"""Value of an exact copy, so that averages stay finite."""


class Psnr(Metric):
    """Peak signal-to-noise ratio in dB with data range 1, at most 100 dB."""

    kind: Literal["psnr"] = "psnr"
    compares = "values"
    higher_is_better: ClassVar[bool] = True

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """``(N,)`` in dB."""
        from torchmetrics.functional.image import peak_signal_noise_ratio  # slow to import, and needed only here

        value: torch.Tensor = peak_signal_noise_ratio(
            reconstruction, truth, data_range=1.0, reduction="none", dim=tuple(range(1, truth.ndim))
        )
        return value.reshape(-1).clamp(max=PERFECT_DB)
