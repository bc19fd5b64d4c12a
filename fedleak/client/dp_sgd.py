"""Settings of example-level differential privacy."""

from __future__ import annotations

from pydantic import Field

from fedleak import limits
from fedleak.component import Settings


class DpSgd(Settings):
    """DP-SGD (Abadi et al. 2016, arXiv 1607.00133, algorithm 1)."""

    max_norm: float = Field(gt=0, le=limits.RATE)
    """Euclidean norm to which each example's gradient is clipped (the paper's C)."""
    noise_multiplier: float = Field(ge=0, le=limits.RATE)
    """Standard deviation of the noise on the sum of gradients, in units of ``max_norm`` (the paper's sigma)."""
    delta: float = Field(default=1e-5, gt=0, lt=1)
    """Delta at which epsilon is reported."""
