"""What client-level privacy rules out, one setting at a time."""

from __future__ import annotations

from typing import Any

import pytest

from fedleak.scenario.privacy import check_privacy
from fedleak.scenario.schema import Scenario
from tests.scenarios import tiny

PRIVATE = {"federation__client_level_dp": {"max_norm": 1.0, "noise_multiplier": 1.0}}
FEDAVG = {"federation__client__protocol": "fedavg"}
CASES: list[tuple[dict[str, Any], str]] = [
    ({"federation__client__dp_sgd": {"max_norm": 1.0, "noise_multiplier": 1.0}}, "federation.client.dp_sgd"),
    (FEDAVG, "federation.client.samples"),
    ({"federation__client__batch_norm": "train_shared"}, "federation.client.batch_norm"),
    (
        {"federation__client__error_feedback": True, "federation__client__postprocess": ["sign_sgd"]},
        "federation.client.error_feedback",
    ),
]


def refused(**changes: Any) -> list[str]:
    """Paths of what ``check_privacy`` finds."""
    return [error.path for error in check_privacy(Scenario.model_validate(tiny(**changes)))]


@pytest.mark.parametrize(("changes", "path"), CASES, ids=[path for _, path in CASES])
def test_each_contradiction_is_refused_and_only_with_privacy(changes: dict[str, Any], path: str) -> None:
    assert refused(**changes, **PRIVATE) == [path]
    assert refused(**changes) == []


def test_equal_weights_are_accepted() -> None:
    assert refused(**PRIVATE) == []
    assert refused(**PRIVATE, **FEDAVG, federation__client__samples=8) == []


POISSON = {"dp_sgd": {"max_norm": 1.0, "noise_multiplier": 1.0, "sampling": "poisson"}}
FIXED = {"dp_sgd": {"max_norm": 1.0, "noise_multiplier": 1.0}}
SAMPLED: list[tuple[dict[str, Any], str]] = [
    ({"federation__client": POISSON}, "federation.client.dp_sgd.sampling"),
    ({"federation__client": POISSON | {"protocol": "fedavg", "samples": 4}}, "federation.client.samples"),
    ({"federation__client": FIXED | {"selection": "largest_gradients"}}, "federation.client.selection"),
    (
        {
            "federation__client": POISSON | {"protocol": "fedavg"},
            "adversary__grants": ["mini_batch_order"],
        },
        "federation.client.dp_sgd.sampling",
    ),
]


@pytest.mark.parametrize(("changes", "path"), SAMPLED)
def test_what_the_accountant_cannot_speak_for_is_refused(changes: dict[str, Any], path: str) -> None:
    assert refused(**changes) == [path]


@pytest.mark.parametrize("client", [FIXED, POISSON, FIXED | {"samples": 4}])
def test_local_steps_may_be_private(client: dict[str, Any]) -> None:
    local = {"protocol": "fedavg", "proximal_mu": 0.1, "local_optimizer": "adam"}
    assert refused(federation__client=client | local) == []
