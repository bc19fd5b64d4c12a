"""A learning rate that rises linearly to its full value."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedleak import limits
from fedleak.client.schedule.base import Schedule


class LinearWarmUp(Schedule):
    """Linear warm-up: equal increments up to the full rate, then constant (Goyal et al. 2017, arXiv 1706.02677)."""

    kind: Literal["linear_warm_up"] = "linear_warm_up"
    warm_up: int = Field(ge=1, le=limits.EPOCHS)
    """First local step, counted from one, with the full rate."""

    def factor(self, step: int, *, steps: int) -> float:
        """``(step + 1) / warm_up``, at most one."""
        return min(1.0, (step + 1) / self.warm_up)
