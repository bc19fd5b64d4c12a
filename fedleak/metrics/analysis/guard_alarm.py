"""Alarms of the clients' guards on the model that a client was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor

from fedleak.client.guard.base import Guard
from fedleak.component import choice
from fedleak.metrics.analysis.base import Analysis, LeakedBatch

if TYPE_CHECKING:
    GuardsChoice = Guard
else:
    GuardsChoice = choice(Guard, "fedleak.client.guard")

EVERY_GUARD = ("imprint", "trap_weights", "pass_through", "class_fishing")


class GuardAlarm(Analysis):
    """1 if a guard takes the model that the client was sent for a crafted one, else 0.

    The guards only look: clients refuse a model if ``federation.client.guards`` names a guard. The mean over crafted
    models is the detection rate, that over honest models the rate of false alarms.
    """

    kind: Literal["guard_alarm"] = "guard_alarm"
    guards: tuple[GuardsChoice, ...] = Field(
        default=tuple({"kind": kind} for kind in EVERY_GUARD), min_length=1, validate_default=True
    )
    """The guards, with their settings; one alarm is enough."""

    def evaluate(self, leaked: LeakedBatch, *, generator: torch.Generator) -> Tensor:
        """The same value for every image, ``(B,)``."""
        alarm = any(guard.inspect(leaked.module) for guard in self.guards)
        return torch.full((len(leaked.images),), float(alarm))
