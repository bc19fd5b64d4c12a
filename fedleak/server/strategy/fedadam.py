"""FedAdam: Adam on the server."""

from __future__ import annotations

from typing import ClassVar, Literal

from fedleak.server.strategy.base import MomentOptimizer


class FedAdam(MomentOptimizer):
    """Adam on the server (Reddi et al. 2021, arXiv 2003.00295, algorithm 2).

    ``m <- beta_1 m + (1 - beta_1) delta``, ``v <- beta_2 v + (1 - beta_2) delta^2`` and ``x <- x + eta_t m / (sqrt(v) +
    tau)`` with the mean update ``delta``. Flower starts from ``v = 0`` and corrects the bias of both means, ``eta_t =
    eta sqrt(1 - beta_2^(t + 1)) / (1 - beta_1^(t + 1))`` in round ``t`` (from 1); the paper starts from ``tau^2`` and
    does not.
    """

    kind: Literal["fedadam"] = "fedadam"
    flower: ClassVar[str] = "FedAdam"
