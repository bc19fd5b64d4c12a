"""What local objectives and server optimisers exclude."""

from __future__ import annotations

from typing import Any

import pytest

from fedleak.errors import InputErrors
from tests.scenarios import scenario

FEDAVG = {"protocol": "fedavg", "samples": 4, "batch_size": 2}


def test_a_proximal_term_needs_clients_that_start_at_the_broadcast_model() -> None:
    drifting = FEDAVG | {"proximal_mu": 0.1, "drift": {"images": 4, "epochs": 1}}
    with pytest.raises(InputErrors, match=r"federation\.client\.proximal_mu.*remove drift"):
        scenario(federation__client=drifting)


def test_unused_settings_leave_no_trace() -> None:
    """Runs recorded before these settings existed keep their fingerprint."""
    raw = scenario(federation__client=FEDAVG).model_dump(mode="json")["federation"]
    assert "strategy" not in raw["server"]
    assert not {"proximal_mu", "local_optimizer"} & raw["client"].keys()


OWN = {"kind": "factory", "path": "tests.user_strategies:median"}
SECURE = {"num_shares": 3, "reconstruction_threshold": 2}
LIGHT = {
    "adversary": {"level": 2, "public_images": 60},
    "attacks": [{"kind": "inverting_gradients", "iterations": 1}],
}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"server": {"strategy": "fedadam", "aggregation": "fedasync"}}, "aggregation fedasync moves the model itself"),
        ({"server": {"strategy": OWN}, "secure_aggregation": SECURE}, "secure_aggregation hides from the server"),
        (
            {"server": {"strategy": OWN}, "client_level_dp": {"max_norm": 1.0, "noise_multiplier": 1.0}},
            "made for the mean of all updates",
        ),
    ],
)
def test_strategies_that_contradict_other_settings_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputErrors, match=rf"federation\.server\.strategy.*{reason}"):
        scenario(**LIGHT, **{f"federation__{name}": value for name, value in changes.items()})


@pytest.mark.parametrize(
    "changes",
    [
        {"server": {"strategy": "fedyogi"}, "secure_aggregation": SECURE},
        {"server": {"strategy": "fedavgm"}, "client_level_dp": {"max_norm": 1.0, "noise_multiplier": 1.0}},
        {
            "server": {"strategy": OWN},
            "client_level_dp": {"noise": "local", "max_norm": 1.0, "noise_multiplier": 1.0},
        },
        {"server": {"strategy": OWN}, "staleness": {"kind": "uniform", "max": 2}},
    ],
)
def test_strategies_go_with_what_leaves_them_the_mean_or_every_update(changes: dict[str, Any]) -> None:
    found = scenario(**LIGHT, **{f"federation__{name}": value for name, value in changes.items()})
    assert found.federation.server.strategy is not None
