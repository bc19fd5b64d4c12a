"""Leakage indicator from PSNR and SSIM, which needs no LPIPS weights."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from fedleak import limits
from fedleak.metrics.base import Metric
from fedleak.metrics.psnr import Psnr
from fedleak.metrics.ssim import Ssim


class LeakedSsim(Metric):
    """1 if a reconstruction has PSNR >= 18 dB and SSIM >= 0.8, else 0: a substitute for ``leaked``.

    The SSIM threshold is ours: the SoK (Du et al. 2025, arXiv 2404.05403) uses LPIPS instead, so values are not
    comparable with its tables.
    """

    kind: Literal["leaked_ssim"] = "leaked_ssim"
    higher_is_better: ClassVar[bool] = True
    is_default: ClassVar[bool] = False
    psnr: float = Field(default=18.0, gt=0, le=limits.DECIBEL)
    """Lower bound of the PSNR in dB."""
    ssim: float = Field(default=0.8, gt=0, lt=1)
    """Lower bound of SSIM, a number of at most 1."""

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """``(N,)`` of zeros and ones."""
        similar = Ssim().evaluate(reconstruction, truth) >= self.ssim
        return (similar & (Psnr().evaluate(reconstruction, truth) >= self.psnr)).to(reconstruction.dtype)
