from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fedleak.server.secure_aggregation import MODULUS_BITS, SecureAggregation


@pytest.mark.parametrize(
    "settings",
    [
        {"num_shares": 3, "reconstruction_threshold": 2},
        {"num_shares": 5, "reconstruction_threshold": 4, "clipping_range": 0.1, "quantization_range": 2**31},
    ],
)
def test_what_may_be_asked_for(settings: dict[str, Any]) -> None:
    found = SecureAggregation(**settings)
    assert found.reconstruction_threshold < found.num_shares
    assert found.quantization_range < 2**MODULUS_BITS


def test_defaults_leave_room_for_a_sum_of_many_clients() -> None:
    found = SecureAggregation(num_shares=3, reconstruction_threshold=2)
    assert (found.clipping_range, found.quantization_range) == (8.0, 2**22)
    assert 2**MODULUS_BITS // found.quantization_range == 1024


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_shares": 2, "reconstruction_threshold": 2}, "num_shares"),
        ({"num_shares": 3, "reconstruction_threshold": 1}, "reconstruction_threshold"),
        ({"num_shares": 3, "reconstruction_threshold": 3}, "must be less than num_shares = 3"),
        ({"num_shares": 3, "reconstruction_threshold": 2, "clipping_range": 0}, "clipping_range"),
        ({"num_shares": 3, "reconstruction_threshold": 2, "quantization_range": 2**31 + 1}, "quantization_range"),
        ({"num_shares": 3, "reconstruction_threshold": 2, "shares": 3}, "shares"),
    ],
)
def test_what_could_not_work_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SecureAggregation(**settings)
