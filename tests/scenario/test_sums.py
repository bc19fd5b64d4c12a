"""What secure aggregation rules out, one setting at a time."""

from __future__ import annotations

from typing import Any

import pytest

from fedleak.scenario.schema import Scenario
from fedleak.scenario.secure_aggregation import PATH, check_secure_aggregation
from tests.scenarios import tiny

SECURE = {"num_shares": 3, "reconstruction_threshold": 2}
BASE: dict[str, Any] = {
    "adversary__injection": None,
    "adversary__level": 3,
    "attacks": ["dlg"],
    "federation__secure_aggregation": SECURE,
}


def refused(**changes: Any) -> list[str]:
    """Paths of what ``check_secure_aggregation`` finds."""
    return [error.path for error in check_secure_aggregation(Scenario.model_validate(tiny(**(BASE | changes))))]


def secure(**changes: int) -> dict[str, Any]:
    return {"federation__secure_aggregation": SECURE | changes}


def test_what_fits_is_accepted() -> None:
    assert refused() == []


def test_nothing_is_checked_without_secure_aggregation() -> None:
    raw = tiny(federation__client__batch_norm="train_shared", adversary__victims__clients=[1])
    assert list(check_secure_aggregation(Scenario.model_validate(raw))) == []


@pytest.mark.parametrize(
    ("clients", "shares", "fits"),
    [(3, 3, True), (3, 4, False), (3, 5, False), (5, 4, False), (4, 4, True), (5, 3, True)],
)
def test_shares_are_odd_or_one_for_each_client(clients: int, shares: int, fits: bool) -> None:
    found = refused(federation__clients=clients, **secure(num_shares=shares))
    assert found == ([] if fits else [f"{PATH}.num_shares"])


def test_sampled_clients_count_not_all() -> None:
    assert refused(federation__clients=9, federation__clients_per_round=3, **secure(num_shares=5)) == [
        f"{PATH}.num_shares"
    ]


@pytest.mark.parametrize(("clients", "fits"), [(3, True), (4, False)])
def test_the_sum_stays_below_the_modulus(clients: int, fits: bool) -> None:
    """4 clients times 2^30 is 2^32, the modulus itself."""
    found = refused(federation__clients=clients, **secure(quantization_range=2**30))
    assert found == ([] if fits else [f"{PATH}.quantization_range"])


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"federation__client__batch_norm": "train_shared"}, "federation.client.batch_norm"),
        ({"adversary__victims__clients": [1, 2]}, "adversary.victims.clients"),
        ({"adversary__injection": {"pairs": 60}}, "adversary.injection.pairs"),
        ({"adversary__grants": ["batch_statistics"]}, "adversary.grants"),
        ({"adversary__grants": ["mini_batch_order"]}, "adversary.grants"),
    ],
)
def test_what_needs_one_clients_update_is_refused(changes: dict[str, Any], path: str) -> None:
    assert refused(**changes) == [path]
