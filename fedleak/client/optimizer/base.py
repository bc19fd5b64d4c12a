"""Base class of local optimisers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import torch
from pydantic import Field
from torch import nn

from fedleak.client.local_sgd import LocalSgd, ScheduleChoice
from fedleak.component import Component
from fedleak.tensors import Tensors


class LocalOptimizer(Component):
    """Base class of optimisers for the local steps of one round; their state starts afresh in every round.

    The client steps with torch's own optimiser. An attack that replays the client takes the same steps out of place,
    so that they can be differentiated.
    """

    schedule: ScheduleChoice = Field(default={"kind": "constant"}, validate_default=True)
    """Learning rate over the local steps of a round."""

    def rates(self, learning_rate: float, steps: int) -> list[float]:
        """The learning rate of each of ``steps`` local steps."""
        return [learning_rate * self.schedule.factor(step, steps=steps) for step in range(steps)]

    def reach(self, steps: int) -> float:
        """Distance covered by ``steps`` steps of learning rate one with a constant gradient of one, without decay."""
        return sum(self.rates(1.0, steps))

    @abstractmethod
    def torch_optimizer(self, parameters: Iterable[nn.Parameter], *, rate: float) -> torch.optim.Optimizer:
        """The optimiser with which clients step."""

    @abstractmethod
    def step(
        self, parameters: Tensors, gradient: Tensors, state: Mapping[str, Tensors], *, rate: float, number: int
    ) -> tuple[Tensors, Mapping[str, Tensors]]:
        """New parameters and state after one differentiable step, equal to that of ``torch_optimizer``.

        Args:
            parameters, gradient: name -> tensor.
            state: state after the previous step; empty before the first one.
            rate: learning rate of this step.
            number: number of the step, counted from one.
        """


AnyOptimizer: TypeAlias = LocalSgd | LocalOptimizer
"""Local optimiser: SGD, or one of another kind."""
