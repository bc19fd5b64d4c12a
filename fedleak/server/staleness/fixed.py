"""The same lag for all clients."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from fedleak import limits
from fedleak.server.staleness.base import Staleness


class Fixed(Staleness):
    """The same lag for every client in every round; 0 makes the federation synchronous."""

    kind: Literal["fixed"] = "fixed"
    lag: int = Field(ge=0, le=limits.ROUNDS)
    """Lag in rounds."""

    def lag_of(self, client: int, round_number: int, *, generator: np.random.Generator) -> int:
        """The fixed ``lag``."""
        return self.lag
