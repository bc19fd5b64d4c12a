"""The same learning rate throughout."""

from __future__ import annotations

from typing import Literal

from fedleak.client.schedule.base import Schedule


class Constant(Schedule):
    """Constant: every local step takes the full learning rate."""

    kind: Literal["constant"] = "constant"

    def factor(self, step: int, *, steps: int) -> float:
        """One."""
        return 1.0
