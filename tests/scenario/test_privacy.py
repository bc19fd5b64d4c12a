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
