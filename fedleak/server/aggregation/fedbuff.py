"""FedBuff: buffered asynchronous aggregation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field

from fedleak import limits
from fedleak.server.aggregation.base import Aggregation, Arrival, StalenessWeight, moved, weighted_sum
from fedleak.tensors import NamedTensors

BUFFERED = "buffered/"
COUNT = "count"
STEPS = "steps"


class FedBuff(Aggregation):
    """FedBuff: the server takes a step when its buffer is full (Nguyen et al. 2022, arXiv 2106.06639, algorithm 1).

    A step moves the model by the mean of ``buffer`` updates, each weighted by its age: the number of server steps since
    the model that it was computed on. The model does not change in a round in which the buffer does not fill.
    """

    kind: Literal["fedbuff"] = "fedbuff"
    buffer: int = Field(default=10, ge=1, le=limits.CLIENTS)
    """Updates in the buffer that make one step; ``K`` of the paper, which takes 10."""
    weight: StalenessWeight = StalenessWeight()
    """Weight of stale updates (default: ``1 / sqrt(1 + t)``, as in the paper)."""

    def aggregate(
        self, model: NamedTensors, arrivals: Sequence[Arrival], memory: NamedTensors, *, version: int
    ) -> tuple[NamedTensors, NamedTensors]:
        """Aggregate; the state is the buffer and the number of steps taken at each version."""
        held = {n.removeprefix(BUFFERED): t for n, t in memory.items() if n.startswith(BUFFERED)}
        count, steps = int(memory.get(COUNT, torch.tensor(0))), memory.get(STEPS, torch.tensor([0]))
        taken = int(steps[-1])
        for arrival in arrivals:
            weight = self.weight(taken - int(steps[arrival.version])) / self.buffer
            held = weighted_sum([held or weighted_sum([arrival.change], [0.0]), arrival.change], [1.0, weight])
            count += 1
            if count == self.buffer:
                model, held, count, taken = moved(model, held), {}, 0, taken + 1
        steps = torch.cat([steps, torch.tensor([taken])])
        buffered = {BUFFERED + name: tensor for name, tensor in held.items()}
        return model, buffered | {COUNT: torch.tensor(count), STEPS: steps}
