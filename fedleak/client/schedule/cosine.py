"""A learning rate that falls along half a cosine."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from fedleak.client.schedule.base import Schedule


class Cosine(Schedule):
    """Cosine: from the full rate in the first step towards a share (Loshchilov & Hutter 2017, arXiv 1608.03983)."""

    kind: Literal["cosine"] = "cosine"
    final: float = Field(default=0.0, ge=0, le=1)
    """The share that a step after the last one would take."""

    def factor(self, step: int, *, steps: int) -> float:
        """Eq. 5 of the paper, without restarts, over the local steps of a round."""
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * step / steps)) / 2
