"""Local SGD as clients do it and as attacks replay it: one rule, differentiable, on named tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from fedleak.client.schedule.base import Schedule
from fedleak.component import Settings, choice
from fedleak.tensors import Tensors

if TYPE_CHECKING:
    ScheduleChoice = Schedule
else:
    ScheduleChoice = choice(Schedule, "fedleak.client.schedule")


class LocalSgd(Settings):
    """What stochastic gradient descent does beside following the gradient; plain SGD unless told.

    Momentum starts from nothing in every round.
    """

    momentum: float = Field(default=0.0, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(default=0.0, ge=0)
    """Of all parameters, added to the gradient."""
    schedule: ScheduleChoice = Field(default={"kind": "constant"}, validate_default=True)

    @model_validator(mode="after")
    def _has_momentum_to_look_ahead(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs momentum")
        return self

    def rates(self, learning_rate: float, steps: int) -> list[float]:
        """The learning rate of each of ``steps`` local steps."""
        return [learning_rate * self.schedule.factor(step, steps=steps) for step in range(steps)]

    def reach(self, steps: int) -> float:
        """How far ``steps`` steps of learning rate one go against a gradient that stays one, without decay."""
        velocity = distance = 0.0
        for rate in self.rates(1.0, steps):
            velocity = self.momentum * velocity + 1
            distance += rate * (1 + self.momentum * velocity if self.nesterov else velocity)
        return distance


PLAIN_SGD = LocalSgd()


def sgd_step(
    parameters: Tensors, gradient: Tensors, velocity: Tensors, *, rate: float, settings: LocalSgd
) -> tuple[Tensors, Tensors]:
    """New parameters and velocity after one step, as ``torch.optim.SGD`` takes it.

    Args:
        parameters, gradient: name -> tensor.
        velocity: from the step before; empty before the first one, and without momentum.
        rate: of this step.
    """
    momentum, decay = settings.momentum, settings.weight_decay
    if decay:
        gradient = {name: g + decay * parameters[name] for name, g in gradient.items()}
    direction = gradient
    if momentum:
        velocity = {n: momentum * velocity[n] + g for n, g in gradient.items()} if velocity else gradient
        direction = {n: g + momentum * velocity[n] for n, g in gradient.items()} if settings.nesterov else velocity
    return {name: p - rate * direction[name] for name, p in parameters.items()}, velocity
