"""Uniformly distributed lags."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from fedleak import limits
from fedleak.server.staleness.base import Staleness


class Uniform(Staleness):
    """Lags drawn uniformly, as in the experiments of FedAsync (Xie et al. 2019, arXiv 1903.03934, section 6)."""

    kind: Literal["uniform"] = "uniform"
    min: int = Field(default=0, ge=0, le=limits.ROUNDS)
    """Smallest lag, in rounds."""
    max: int = Field(ge=0, le=limits.ROUNDS)
    """Largest lag, in rounds, inclusive."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self

    def lag_of(self, client: int, round_number: int, *, generator: np.random.Generator) -> int:
        """A uniform draw from ``min`` to ``max``, inclusive."""
        return int(generator.integers(self.min, self.max, endpoint=True))
