"""Combinations that client-level privacy rules out: its noise is scaled for one bound and for equal weights."""

from __future__ import annotations

from collections.abc import Iterator

from fedleak.errors import InputError
from fedleak.scenario.schema import Scenario

PATH = "federation.client_level_dp"


def check_privacy(scenario: Scenario) -> Iterator[InputError]:
    """Contradictions with ``federation.client_level_dp``, where the scenario asks for it."""
    client = scenario.federation.client
    if scenario.federation.client_level_dp is None:
        return
    if client.dp_sgd is not None:
        yield InputError("federation.client.dp_sgd", client.dp_sgd.model_dump(), f"choose it or {PATH}")
    if client.protocol == "fedavg" and client.samples is None:
        yield InputError("federation.client.samples", None, f"{PATH} needs equal weights: so many images of each")
    if client.batch_norm == "train_shared":
        yield InputError("federation.client.batch_norm", client.batch_norm, f"{PATH} does not hide shared buffers")
    if client.error_feedback:
        yield InputError("federation.client.error_feedback", True, f"{PATH} bounds each round's update apart")
