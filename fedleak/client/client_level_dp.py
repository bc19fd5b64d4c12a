"""Settings of client-level differential privacy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedleak import limits
from fedleak.client.postprocess.base import PostProcess
from fedleak.client.postprocess.gaussian_noise import GaussianNoise
from fedleak.client.postprocess.l2_clipping import L2Clipping
from fedleak.component import Settings


class ClientLevelDp(Settings):
    """DP-FedAvg: hides whether a client took part (McMahan et al. 2018, arXiv 1710.06963)."""

    noise: Literal["central", "local"] = "central"
    """``central``: a trusted server, which sees the clipped updates, adds noise to their mean (Flower's strategy).
    ``local``: every client adds noise to its own update, so that the server need not be trusted."""
    max_norm: float = Field(gt=0, le=limits.RATE)
    """Euclidean norm to which each client clips its update, after any other post-processing."""
    noise_multiplier: float = Field(ge=0, le=limits.RATE)
    """Standard deviation of the noise in units of ``max_norm``: on the sum of updates (central), or on each (local)."""
    delta: float = Field(default=1e-5, gt=0, lt=1)
    """Delta at which epsilon is reported, a probability."""

    @property
    def steps(self) -> tuple[PostProcess, ...]:
        """Post-processing steps that every client appends to its own."""
        clipping = L2Clipping(max_norm=self.max_norm)
        if self.noise == "central":
            return (clipping,)
        return clipping, GaussianNoise(std=self.noise_multiplier * self.max_norm)
