"""What every aggregation rule is, and how stale updates are weighed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak.component import Component, Settings
from fedleak.tensors import NamedTensors


@dataclass(frozen=True)
class Arrival:
    """One client's update as it reaches the server.

    Attributes:
        change: what it would change in the model that it was computed on, times the server's learning rate: floating
            point, name -> tensor; names that clients do not share are missing.
        origin: the model that it was computed on.
        samples: images behind it.
        version: rounds that had been aggregated into ``origin``.
    """

    change: NamedTensors
    origin: NamedTensors
    samples: int
    version: int


class Aggregation(Component):
    """What the server does with the updates of a round, in the order of the partitions."""

    @abstractmethod
    def aggregate(
        self, model: NamedTensors, arrivals: Sequence[Arrival], memory: NamedTensors, *, version: int
    ) -> tuple[NamedTensors, NamedTensors]:
        """The new model, and what the rule keeps in mind for the next round.

        Args:
            model: the current global model.
            arrivals: at least one.
            memory: from the round before, empty in the first; tensors, so that a killed run can go on.
            version: rounds that have been aggregated into ``model``.
        """


class StalenessWeight(Settings):
    """What an update counts that is ``t`` versions old (Xie et al. 2019, arXiv 1903.03934, section 5.2)."""

    kind: Literal["constant", "polynomial", "hinge"] = "polynomial"
    a: float = Field(default=0.5, gt=0)
    """polynomial: the exponent; hinge: the slope."""
    b: int = Field(default=4, ge=0)
    """hinge: the age up to which an update counts in full."""

    def __call__(self, age: int) -> float:
        """One; ``(t + 1) ** -a``; or one up to ``b`` and ``1 / (a (t - b) + 1)`` beyond."""
        if self.kind == "constant":
            return 1.0
        if self.kind == "polynomial":
            return float((age + 1) ** -self.a)
        return 1.0 if age <= self.b else 1 / (self.a * (age - self.b) + 1)


def moved(model: NamedTensors, change: NamedTensors) -> dict[str, Tensor]:
    """The model after ``change``; counters are rounded."""
    new = dict(model)
    for name, difference in change.items():
        kept = model[name]
        exact = kept + difference
        new[name] = exact if kept.is_floating_point() else exact.round().to(kept.dtype)
    return new


def weighted_sum(changes: Sequence[NamedTensors], weights: Sequence[float]) -> dict[str, Tensor]:
    """Sum of the changes, each times its weight, in the given order."""
    total = {name: torch.zeros_like(tensor) for name, tensor in changes[0].items()}
    for change, weight in zip(changes, weights, strict=True):
        total = {name: tensor + weight * change[name] for name, tensor in total.items()}
    return total
