"""What local objectives and server optimisers exclude."""

from __future__ import annotations

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
    assert not {"proximal_mu", "local_optimizer"} & raw["client"].keys()
