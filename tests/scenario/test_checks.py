"""Contradictions that are found without looking at data."""

from __future__ import annotations

from typing import Any

import pytest

from fedleak.errors import InputErrors
from tests.scenarios import scenario, tiny

CONTRADICTIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"federation__clients_per_round": 4}, "federation.clients_per_round", "at most federation.clients = 3"),
    ({"federation__faults": [{"round": 3, "client": 1, "mode": "nan"}]}, "federation.faults.0", "no such client or"),
    ({"federation__faults": [{"round": 1, "client": 3, "mode": "nan"}]}, "federation.faults.0", "no such client or"),
    ({"federation__faults": [{"round": 1, "client": 1, "mode": "exit"}]}, "federation.faults.0.mode", "serial engine"),
    ({"federation__faults": [{"round": 1, "client": 1, "mode": "exit"}]}, "federation.faults.0.mode", "serial"),
    ({"adversary__compromised": 3}, "adversary.compromised", "clients are 0 to 2"),
    ({"adversary__victims__clients": [0, 1, 2, 2]}, "adversary.victims.clients", "more victims than clients"),
    ({"adversary__victims__clients": [1, 3]}, "adversary.victims.clients", "clients are 0 to 2"),
    ({"adversary__victims__rounds": [3]}, "adversary.victims.rounds", "rounds are 1 to 2"),
    ({"adversary__injection__rounds": [3]}, "adversary.injection.rounds", "rounds are 1 to 2"),
    ({"adversary__injection__rounds": [1, 1]}, "adversary.injection.rounds", "listed twice"),
    ({"adversary__injection": None, "attacks": ["lti"]}, "adversary.injection", "needs injected pairs"),
    ({"adversary__level": 4, "attacks": ["lti"]}, "attacks.0", "needs injected_pairs (level 5)"),
    ({"attacks": ["lti", "lti"]}, "attacks.1.id", "give each its own"),
    ({"attacks": [{"kind": "lti", "id": "baseline_x"}]}, "attacks.0.id", "are reserved"),
    ({"device": "tpu"}, "device", "expected auto, cpu"),
]


@pytest.mark.parametrize(("changes", "path", "allowed"), CONTRADICTIONS)
def test_contradictions(changes: dict[str, Any], path: str, allowed: str) -> None:
    with pytest.raises(InputErrors) as caught:
        scenario(**changes)
    assert [error.path for error in caught.value.errors] == [path]
    assert allowed in str(caught.value)


def test_all_contradictions_are_reported_at_once() -> None:
    with pytest.raises(InputErrors) as caught:
        scenario(adversary__compromised=3, device="tpu", adversary__victims__rounds=[9])
    assert len(caught.value.errors) == 3


def test_label_inference_needs_its_capabilities_too() -> None:
    grants = {"level": None, "grants": ["injected_pairs", "model_architecture"]}
    with pytest.raises(InputErrors) as caught:
        scenario(**{f"adversary__{key}": value for key, value in grants.items()}, attacks=["lti"])
    assert {error.path for error in caught.value.errors} == {"attacks.0", "adversary.label_inference"}
    assert all("shared_update" in error.allowed for error in caught.value.errors)


def test_an_attack_with_fixed_labels_needs_a_label_inference() -> None:
    with pytest.raises(InputErrors, match="idlg needs inferred labels"):
        scenario(adversary__label_inference=None, attacks=["idlg"])
    scenario(adversary__label_inference=None, attacks=["dlg"])


def test_grants_by_name_are_as_good_as_a_level() -> None:
    names = ["shared_update", "model_architecture", "injected_pairs"]
    adversary = scenario(adversary__level=None, adversary__grants=names).adversary
    assert adversary.granted == set(names)


def test_labels_are_inferred_as_well_as_what_is_granted_allows() -> None:
    names = ["shared_update", "model_architecture", "injected_pairs"]
    for grants, kind in ((names, "greedy_bias"), ([*names, "global_model"], "calibrated_counts")):
        inference = scenario(adversary__level=None, adversary__grants=grants).adversary.label_inference
        assert inference is not None
        assert inference.kind == kind


def test_the_tiny_scenario_is_valid() -> None:
    assert scenario().name == tiny()["name"]


def test_a_theory_of_drifted_clients_is_refused() -> None:
    """Theorems speak of updates of the broadcast model."""
    drift = {"drift": {"images": 2, "epochs": 1}}
    with pytest.raises(InputErrors, match=r"federation\.client\.drift.*theories need updates"):
        scenario(theory=["same_gradient"], federation__client=drift)
    scenario(theory=["same_gradient"])
