"""A learning rate that decays along half a cosine."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from fedleak.client.schedule.base import Schedule


class Cosine(Schedule):
    """Cosine: decays from the full rate towards a share of it (Loshchilov & Hutter 2017, arXiv 1608.03983)."""

    kind: Literal["cosine"] = "cosine"
    final: float = Field(default=0.0, ge=0, le=1)
    """Share of the full rate that the step after the last one would have."""

    def factor(self, step: int, *, steps: int) -> float:
        """Eq. 5 of the paper, without restarts, over the local steps of a round."""
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * step / steps)) / 2
