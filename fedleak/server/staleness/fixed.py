"""Everybody is as late."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from fedleak.server.staleness.base import Staleness


class Fixed(Staleness):
    """The same lag for every client in every round; none makes the federation synchronous."""

    kind: Literal["fixed"] = "fixed"
    lag: int = Field(ge=0)
    """In rounds."""

    def lag_of(self, client: int, round_number: int, *, generator: np.random.Generator) -> int:
        """``lag``."""
        return self.lag
