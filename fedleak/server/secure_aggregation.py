"""Settings of secure aggregation."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from fedleak import limits
from fedleak.component import Settings

MODULUS_BITS = 32
"""Masked values are integers modulo ``2^32``, Flower's default."""


class SecureAggregation(Settings):
    """SecAgg+ (Bell et al. 2020, doi 10.1145/3372297.3417885) as in Flower: the server learns only a weighted mean."""

    num_shares: int = Field(ge=3, le=limits.CLIENTS)
    """Number of shares of each client's secrets, one for each neighbour in the protocol and one for itself: odd, or the
    number of clients in a round."""
    reconstruction_threshold: int = Field(ge=2, le=limits.CLIENTS)
    """Shares needed to reconstruct a secret, less than ``num_shares``; the difference is the number of neighbours that
    may drop out."""
    clipping_range: float = Field(default=8.0, gt=0, le=limits.RATE)
    """Values are clipped to plus or minus this, in the units of the update, before rounding."""
    quantization_range: int = Field(default=2**22, ge=2, le=2**31)
    """Number of integer levels to which values are rounded stochastically, without bias."""

    @model_validator(mode="after")
    def _some_may_drop_out(self) -> Self:
        if self.reconstruction_threshold >= self.num_shares:
            raise ValueError(f"reconstruction_threshold must be less than num_shares = {self.num_shares}")
        return self
