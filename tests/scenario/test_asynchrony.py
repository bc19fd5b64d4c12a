from __future__ import annotations

from typing import Any

import pytest

from fedleak.errors import InputErrors
from tests.scenarios import scenario

SUMS: dict[str, Any] = {
    "federation__secure_aggregation": {"num_shares": 3, "reconstruction_threshold": 2},
    "adversary": {"level": 3},
    "attacks": ["inverting_gradients"],
}
BUFFER = {"kind": "fedbuff", "buffer": 2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (SUMS | {"federation__staleness": {"kind": "uniform", "max": 2}}, "a secure sum needs updates of one version"),
        (SUMS | {"federation__server__aggregation": BUFFER}, "federation.secure_aggregation needs the mean"),
        (
            {
                "federation__client_level_dp": {"max_norm": 1.0, "noise_multiplier": 1.0},
                "federation__server__aggregation": BUFFER,
            },
            "federation.client_level_dp needs the mean",
        ),
        ({"federation__staleness": {"kind": "trace", "lags": [[0], [1]]}}, "one list for each of 3 clients"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputErrors, match=message):
        scenario(**changes)


def test_a_sum_of_updates_of_one_old_version_is_fine() -> None:
    assert scenario(**SUMS, federation__staleness={"kind": "fixed", "lag": 2}).federation.secure_aggregation
