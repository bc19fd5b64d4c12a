"""FedYogi: Yogi on the server."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fedleak import limits
from fedleak.server.strategy.base import MomentOptimizer


class FedYogi(MomentOptimizer):
    """Yogi on the server (Reddi et al. 2021, arXiv 2003.00295, algorithm 2).

    As ``fedadam``, but ``v <- v - (1 - beta_2) delta^2 sign(v - delta^2)``, and without a correction of the bias.
    """

    kind: Literal["fedyogi"] = "fedyogi"
    flower: ClassVar[str] = "FedYogi"
    eta: float = Field(default=0.01, gt=0, le=limits.RATE)
    """The server's learning rate."""
