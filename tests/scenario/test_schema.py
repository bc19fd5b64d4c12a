"""Rules of single blocks, and what a scenario derives from what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fedleak.client.postprocess.gaussian_noise import GaussianNoise
from fedleak.client.postprocess.l2_clipping import L2Clipping
from fedleak.scenario.schema import Adversary, ClientSettings, Federation, default_run_directory
from fedleak.threat import granted_by_level
from tests.scenarios import scenario


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 4}, "belong to protocol fedavg"),
        ({"local_epochs": 2}, "belong to protocol fedavg"),
        ({"dp_sgd": {"max_norm": 1, "noise_multiplier": 1}, "batch_norm": "train_local"}, "dp_sgd clips each example"),
        ({"postprocess": ["sign_sgd", "soteria"]}, "soteria needs the batch: it must come first"),
        ({"error_feedback": True}, "postprocess holds nothing"),
        ({"error_feedback": True, "postprocess": [{"kind": "gaussian_noise", "std": 1}]}, "holds gaussian_noise"),
    ],
)
def test_a_client_that_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ClientSettings.model_validate(settings)


@pytest.mark.parametrize(("protocol", "rate"), [("fedsgd", 0.1), ("fedavg", 1.0)])
def test_the_servers_learning_rate_follows_the_protocol(protocol: str, rate: float) -> None:
    client = {"protocol": protocol}
    assert Federation.model_validate({"client": client}).server_learning_rate == rate
    chosen = Federation.model_validate({"client": client, "server": {"learning_rate": 0.5}})
    assert chosen.server_learning_rate == 0.5


@pytest.mark.parametrize(
    ("noise", "steps"),
    [("central", (L2Clipping(max_norm=2),)), ("local", (L2Clipping(max_norm=2), GaussianNoise(std=6)))],
)
def test_client_level_privacy_comes_last(noise: str, steps: tuple[object, ...]) -> None:
    raw = {
        "client": {"postprocess": [{"kind": "gaussian_noise", "std": 1}]},
        "client_level_dp": {"noise": noise, "max_norm": 2, "noise_multiplier": 3},
    }
    federation = Federation.model_validate(raw)
    assert federation.sharing_client.postprocess == (GaussianNoise(std=1), *steps)
    assert federation.client.postprocess == (GaussianNoise(std=1),), "what was said stays as it was"


def test_without_client_level_privacy_the_client_is_as_it_says() -> None:
    federation = Federation()
    assert federation.sharing_client is federation.client


def test_a_level_and_names_grant_together() -> None:
    adversary = Adversary.model_validate({"level": 1, "grants": ["injected_pairs"]})
    assert adversary.granted == granted_by_level(1) | {"injected_pairs"}
    with pytest.raises(ValidationError, match=r"unknown capability 'injected_pair'; did you mean 'injected_pairs'"):
        Adversary.model_validate({"grants": ["injected_pair"]})


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"level": 1}, "calibrated_counts"),
        ({"grants": ["shared_update", "global_model"]}, "calibrated_counts"),
        ({"grants": ["shared_update"]}, "greedy_bias"),
        ({"grants": ["shared_update"], "label_inference": "min_rule"}, "min_rule"),
    ],
)
def test_labels_are_inferred_by_what_is_granted(given: dict[str, Any], kind: str) -> None:
    inference = Adversary.model_validate(given).label_inference
    assert inference is not None
    assert inference.kind == kind


def test_a_run_lies_under_the_name_and_ten_digits() -> None:
    assert default_run_directory(scenario(), "0123456789abcdef") == Path("runs/tiny-0123456789")
