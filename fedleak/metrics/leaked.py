"""Whether an image leaks, by the SoK's indicator."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from fedleak.metrics.base import Metric
from fedleak.metrics.lpips import Lpips
from fedleak.metrics.psnr import Psnr


class Leaked(Metric):
    """1 where a reconstruction has PSNR >= 18 dB and LPIPS <= 0.1, else 0 (Du et al. 2025, arXiv 2404.05403).

    Its mean over a batch is the batch reconstruction rate (BRR). Entries of one attack that differ in nothing but
    their ``id`` are independent initialisations: over them the worst-sample reconstruction rate (WSRR) is computed.
    """

    kind: Literal["leaked"] = "leaked"
    higher_is_better: ClassVar[bool] = True
    is_default: ClassVar[bool] = False
    psnr: float = Field(default=18.0, gt=0)
    """At least so many dB."""
    lpips: float = Field(default=0.1, gt=0)
    """At most so much."""
    backbone: str = "alex"
    """Weights behind LPIPS, as in ``metrics.lpips.backbone``."""

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """``(N,)`` of zeros and ones.

        Raises:
            MetricUnavailableError: without LPIPS weights.
        """
        distance = Lpips(backbone=self.backbone).evaluate(reconstruction, truth)
        near = distance <= self.lpips
        return (near & (Psnr().evaluate(reconstruction, truth) >= self.psnr)).to(reconstruction.dtype)
