"""Lags with a long tail."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from fedleak import limits
from fedleak.server.staleness.base import Staleness


class Geometric(Staleness):
    """A client finishes in each round with the same probability: most are on time, few are far behind."""

    kind: Literal["geometric"] = "geometric"
    p: float = Field(gt=0, le=1)
    """Probability of finishing; the mean lag is ``(1 - p) / p``."""
    max: int | None = Field(default=None, ge=0, le=limits.ROUNDS)
    """Upper bound of the lag, in rounds (default: none)."""

    def lag_of(self, client: int, round_number: int, *, generator: np.random.Generator) -> int:
        """Number of rounds in which the client did not finish."""
        drawn = int(generator.geometric(self.p)) - 1
        return drawn if self.max is None else min(drawn, self.max)
