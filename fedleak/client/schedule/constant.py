"""A constant learning rate."""

from __future__ import annotations

from typing import Literal

from fedleak.client.schedule.base import Schedule


class Constant(Schedule):
    """Constant: every local step uses the full learning rate."""

    kind: Literal["constant"] = "constant"

    def factor(self, step: int, *, steps: int) -> float:
        """Always one."""
        return 1.0
