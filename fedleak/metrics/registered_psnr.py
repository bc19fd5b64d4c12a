"""PSNR after registration by a whole-pixel shift."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from fedleak import limits
from fedleak.metrics.base import Metric
from fedleak.metrics.psnr import PERFECT_DB


class RegisteredPsnr(Metric):
    """PSNR of the best whole-pixel shift of the reconstruction, over the overlapping region.

    GradInversion is scored after registration (Yin et al. 2021, arXiv 2104.07586, section 4.1), because gradients of
    convolutional networks carry little information about the position of an object. Only translations are tried.
    """

    kind: Literal["registered_psnr"] = "registered_psnr"
    higher_is_better: ClassVar[bool] = True
    largest_shift: int = Field(default=3, ge=0, le=limits.PIXELS)
    """Largest shift in pixels along each axis; limited to a quarter of the image."""

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """``(N,)`` in dB."""
        limit = min(self.largest_shift, min(truth.shape[-2:]) // 4)
        shifts = range(-limit, limit + 1)
        errors = [overlap_error(reconstruction, truth, down, right) for down in shifts for right in shifts]
        least = torch.stack(errors).amin(dim=0)
        return (-10 * least.log10()).clamp(max=PERFECT_DB)


def overlap_error(moved: torch.Tensor, fixed: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Mean squared error of ``moved``, shifted by ``(down, right)``, where both have pixels: ``(N,)``."""
    height, width = fixed.shape[-2:]
    target = fixed[..., max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
    source = moved[..., max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)]
    return (source - target).square().flatten(1).mean(dim=1)
