"""A learning rate that drops at regular intervals."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedleak import limits
from fedleak.client.schedule.base import Schedule


class Step(Schedule):
    """Step: the learning rate is multiplied by ``gamma`` after every ``every`` local steps."""

    kind: Literal["step"] = "step"
    every: int = Field(ge=1, le=limits.EPOCHS)
    """Number of local steps between drops."""
    gamma: float = Field(default=0.1, gt=0, le=1)
    """Factor of the learning rate at each step."""

    def factor(self, step: int, *, steps: int) -> float:
        """``gamma ** (step // every)``."""
        return float(self.gamma ** (step // self.every))
