"""FedAsync: every update is mixed in as it arrives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from fedleak.server.aggregation.base import Aggregation, Arrival, StalenessWeight, moved
from fedleak.tensors import NamedTensors


class FedAsync(Aggregation):
    """FedAsync: mixes the global model with one local model after the other (Xie et al. 2019, arXiv 1903.03934).

    Algorithm 1: ``x <- (1 - alpha_t) x + alpha_t x_new`` with ``alpha_t = mixing * weight(age)``. Age is counted in
    rounds; the updates of one round arrive one after the other, in partition order.
    """

    kind: Literal["fedasync"] = "fedasync"
    mixing: float = Field(default=0.6, gt=0, le=1)
    """Share of the new weights in the mixture; ``alpha`` of the paper."""
    weight: StalenessWeight = StalenessWeight()

    def aggregate(
        self, model: NamedTensors, arrivals: Sequence[Arrival], memory: NamedTensors, *, version: int
    ) -> tuple[NamedTensors, NamedTensors]:
        """Aggregate; keeps no state."""
        for arrival in arrivals:
            share = self.mixing * self.weight(version - arrival.version)
            towards = {n: arrival.origin[n] + change - model[n] for n, change in arrival.change.items()}
            model = moved(model, {name: share * difference for name, difference in towards.items()})
        return model, {}
