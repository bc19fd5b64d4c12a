"""Types of a manifest's fields: whole numbers are no booleans, rates are finite, everything is bounded."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from fedleak.examples import kind_of

LARGEST_COUNT = 2**31 - 1
"""Largest whole number in a manifest."""
LARGEST_IMAGE = 2**24
"""Most values of one image, ``C x H x W``."""
LARGEST_BATCH = 2**28
"""Most values of the images behind one update: 1 GiB in float32."""
MOST_STEPS = 1_000_000
"""Most local steps behind one update."""

Count = Annotated[int, Field(strict=True, ge=0, le=LARGEST_COUNT)]
"""A number or an index, from 0."""
Positive = Annotated[int, Field(strict=True, ge=1, le=LARGEST_COUNT)]
"""A number of at least 1."""


def _of_a_known_kind(shape: tuple[int, ...]) -> tuple[int, ...]:
    kind_of(shape)
    return shape


Shape = Annotated[tuple[Positive, ...], AfterValidator(_of_a_known_kind)]
"""Shape of an example of a known kind, ``(C, H, W)`` of an image."""
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A real number."""
PositiveFinite = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
"""A real number above 0."""
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
"""A number in [0, 1]."""
NotNegative = Annotated[float, Field(ge=0)]
"""A number of at least 0, or infinity."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A checksum in hexadecimal digits."""
Name = Annotated[str, Field(min_length=1, max_length=1000)]
"""Name of a tensor or of a file."""
