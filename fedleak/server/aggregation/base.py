"""Base class of aggregation rules, and the weights of stale updates."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak import limits
from fedleak.component import Component, Settings
from fedleak.tensors import NamedTensors


@dataclass(frozen=True)
class Arrival:
    """One client's update as it reaches the server.

    Attributes:
        change: change of the model that it was computed on, times the server's learning rate: floating point, name ->
            tensor; names that clients do not share are missing.
        origin: the model that it was computed on.
        samples: number of images behind it.
        version: number of rounds that had been aggregated into ``origin``.
    """

    change: NamedTensors
    origin: NamedTensors
    samples: int
    version: int


class Aggregation(Component):
    """Base class of rules that aggregate the updates of a round, in partition order."""

    @abstractmethod
    def aggregate(
        self, model: NamedTensors, arrivals: Sequence[Arrival], memory: NamedTensors, *, version: int
    ) -> tuple[NamedTensors, NamedTensors]:
        """The new model, and the state kept for the next round.

        Args:
            model: the current global model.
            arrivals: at least one.
            memory: state kept from the previous round, empty in the first; tensors, so that a run can be resumed.
            version: number of rounds that have been aggregated into ``model``.
        """


class StalenessWeight(Settings):
    """Weight of an update that is ``t`` versions old (Xie et al. 2019, arXiv 1903.03934, section 5.2)."""

    kind: Literal["constant", "polynomial", "hinge"] = "polynomial"
    """How the weight falls with the age of an update."""
    a: float = Field(default=0.5, gt=0, le=limits.RATE)
    """polynomial: the exponent; hinge: the slope."""
    b: int = Field(default=4, ge=0, le=limits.ROUNDS)
    """hinge: the age up to which an update has weight one."""

    def __call__(self, age: int) -> float:
        """constant: 1; polynomial: ``(t + 1) ** -a``; hinge: 1 up to ``b`` and ``1 / (a (t - b) + 1)`` beyond."""
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
