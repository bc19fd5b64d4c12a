"""Leakage indicator of the SoK, from PSNR and LPIPS."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from fedleak import limits
from fedleak.metrics.base import Metric
from fedleak.metrics.lpips import SMALLEST_SIDE, Lpips
from fedleak.metrics.psnr import Psnr


class Leaked(Metric):
    """1 if a reconstruction has PSNR >= 18 dB and LPIPS <= 0.1, else 0 (Du et al. 2025, arXiv 2404.05403).

    Its mean over a batch is the batch reconstruction rate (BRR). Entries of one attack that differ only in their ``id``
    count as independent initialisations; the worst-sample reconstruction rate (WSRR) is computed over them.
    """

    kind: Literal["leaked"] = "leaked"
    higher_is_better: ClassVar[bool] = True
    is_default: ClassVar[bool] = False
    psnr: float = Field(default=18.0, gt=0, le=limits.DECIBEL)
    """Lower bound of the PSNR in dB."""
    lpips: float = Field(default=0.1, gt=0, le=limits.RATE)
    """Upper bound of LPIPS, a distance without a unit."""
    backbone: str = "alex"
    """Weights for LPIPS, as in ``metrics.lpips.backbone``."""
    smallest_side: int = Field(default=SMALLEST_SIDE, ge=SMALLEST_SIDE, le=512)
    """Images with a smaller side, in pixels, are enlarged to it for LPIPS."""

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """``(N,)`` of zeros and ones.

        Raises:
            MetricUnavailableError: if the LPIPS weights are not available.
        """
        lpips = Lpips(backbone=self.backbone, smallest_side=self.smallest_side)
        distance = lpips.evaluate(reconstruction, truth)
        near = distance <= self.lpips
        return (near & (Psnr().evaluate(reconstruction, truth) >= self.psnr)).to(reconstruction.dtype)
