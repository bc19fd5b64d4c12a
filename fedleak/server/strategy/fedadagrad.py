"""FedAdagrad: Adagrad on the server."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fedleak import limits
from fedleak.server.strategy.base import ServerOptimizer


class FedAdagrad(ServerOptimizer):
    """Adagrad on the server (Reddi et al. 2021, arXiv 2003.00295, algorithm 2), without momentum.

    ``v <- v + delta^2`` and ``x <- x + eta delta / (sqrt(v) + tau)`` with the mean update ``delta``.
    """

    kind: Literal["fedadagrad"] = "fedadagrad"
    flower: ClassVar[str] = "FedAdagrad"
    eta: float = Field(default=0.1, gt=0, le=limits.RATE)
    """The server's learning rate."""
    tau: float = Field(default=1e-3, gt=0, le=limits.RATE)
    """Adaptivity: the smaller, the more each weight's own scale counts."""
