"""FedAdagrad: Adagrad on the server."""

from __future__ import annotations

from typing import ClassVar, Literal

from fedleak.server.strategy.base import AdaptiveOptimizer


class FedAdagrad(AdaptiveOptimizer):
    """Adagrad on the server (Reddi et al. 2021, arXiv 2003.00295, algorithm 2), without momentum.

    ``v <- v + delta^2`` and ``x <- x + eta delta / (sqrt(v) + tau)`` with the mean update ``delta``.
    """

    kind: Literal["fedadagrad"] = "fedadagrad"
    flower: ClassVar[str] = "FedAdagrad"
