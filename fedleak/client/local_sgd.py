"""Local SGD: its options, torch's optimiser for clients, and the same step out of place for attacks that replay it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from fedleak import limits
from fedleak.client.schedule.base import Schedule
from fedleak.component import Settings, choice
from fedleak.tensors import Tensors

if TYPE_CHECKING:
    ScheduleChoice = Schedule
else:
    ScheduleChoice = choice(Schedule, "fedleak.client.schedule")


class LocalSgd(Settings):
    """Options of local SGD: momentum, weight decay and schedule; the default is plain SGD.

    Momentum starts from zero in every round.
    """

    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Momentum of the steps; its buffer starts at zero in every round."""
    nesterov: bool = False
    """Whether the momentum is Nesterov's; needs ``momentum``."""
    weight_decay: float = Field(default=0.0, ge=0, le=limits.RATE)
    """L2 weight decay of all parameters, added to the gradient."""
    schedule: ScheduleChoice = Field(default={"kind": "constant"}, validate_default=True)
    """How the learning rate changes over the local steps of a round."""

    @model_validator(mode="after")
    def _has_momentum_to_look_ahead(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs momentum")
        return self

    def rates(self, learning_rate: float, steps: int) -> list[float]:
        """The learning rate of each of ``steps`` local steps."""
        return [learning_rate * self.schedule.factor(step, steps=steps) for step in range(steps)]

    def reach(self, steps: int) -> float:
        """Distance covered by ``steps`` steps of learning rate one with a constant gradient of one, without decay."""
        velocity = distance = 0.0
        for rate in self.rates(1.0, steps):
            velocity = self.momentum * velocity + 1
            distance += rate * (1 + self.momentum * velocity if self.nesterov else velocity)
        return distance

    def torch_optimizer(self, parameters: Iterable[nn.Parameter], *, rate: float) -> torch.optim.Optimizer:
        """The optimiser with which clients step."""
        return torch.optim.SGD(
            parameters, lr=rate, momentum=self.momentum, nesterov=self.nesterov, weight_decay=self.weight_decay
        )

    def step(
        self, parameters: Tensors, gradient: Tensors, state: Mapping[str, Tensors], *, rate: float, number: int
    ) -> tuple[Tensors, Mapping[str, Tensors]]:
        """One differentiable step, as ``LocalOptimizer.step``; the state is ``velocity``."""
        new, velocity = sgd_step(parameters, gradient, state.get("velocity", {}), rate=rate, settings=self)
        return new, {"velocity": velocity}


PLAIN_SGD = LocalSgd()


def sgd_step(
    parameters: Tensors, gradient: Tensors, velocity: Tensors, *, rate: float, settings: LocalSgd
) -> tuple[Tensors, Tensors]:
    """New parameters and velocity after one step, by the operations of ``torch.optim.SGD``, so that rounding agrees.

    Args:
        parameters, gradient: name -> tensor.
        velocity: velocity after the previous step; empty before the first step, and without momentum.
        rate: learning rate of this step.
    """
    momentum, decay = settings.momentum, settings.weight_decay
    if decay:
        gradient = {name: torch.add(g, parameters[name], alpha=decay) for name, g in gradient.items()}
    direction = gradient
    if momentum:
        velocity = {n: momentum * velocity[n] + g for n, g in gradient.items()} if velocity else gradient
        direction = velocity
        if settings.nesterov:
            direction = {n: torch.add(g, velocity[n], alpha=momentum) for n, g in gradient.items()}
    return {name: torch.add(p, direction[name], alpha=-rate) for name, p in parameters.items()}, velocity
