"""FedAvgM: server momentum."""

from __future__ import annotations

from typing import ClassVar, Literal

from fedleak.server.strategy.base import Decay, ServerOptimizer


class FedAvgM(ServerOptimizer):
    """Server momentum, without Nesterov's look-ahead (Hsu et al. 2019, arXiv 1909.06335, section 4.3).

    ``v <- momentum v + delta`` and ``x <- x + v`` with the mean update ``delta``.
    """

    kind: Literal["fedavgm"] = "fedavgm"
    flower: ClassVar[str] = "FedAvgM"
    server_momentum: Decay = 0.9
    """Share of the last step that the next one keeps; ``beta`` of the paper."""
