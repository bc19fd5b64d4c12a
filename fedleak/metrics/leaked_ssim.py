"""Whether an image leaks, where there are no LPIPS weights."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from fedleak.metrics.base import Metric
from fedleak.metrics.psnr import Psnr
from fedleak.metrics.ssim import Ssim


class LeakedSsim(Metric):
    """1 where a reconstruction has PSNR >= 18 dB and SSIM >= 0.8, else 0: stands in for ``leaked``.

    The threshold on SSIM is ours: the SoK (Du et al. 2025, arXiv 2404.05403) has LPIPS in its place, so that values are
    not comparable with its tables.
    """

    kind: Literal["leaked_ssim"] = "leaked_ssim"
    higher_is_better: ClassVar[bool] = True
    is_default: ClassVar[bool] = False
    psnr: float = Field(default=18.0, gt=0)
    """At least so many dB."""
    ssim: float = Field(default=0.8, gt=0, lt=1)
    """At least so much."""

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """``(N,)`` of zeros and ones."""
        similar = Ssim().evaluate(reconstruction, truth) >= self.ssim
        return (similar & (Psnr().evaluate(reconstruction, truth) >= self.psnr)).to(reconstruction.dtype)
