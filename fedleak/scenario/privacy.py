"""Checks for client-level privacy, whose noise is calibrated for one clipping bound and equal weights."""

from __future__ import annotations

from collections.abc import Iterator

from fedleak.errors import InputError
from fedleak.scenario.schema import Scenario

PATH = "federation.client_level_dp"


def check_privacy(scenario: Scenario) -> Iterator[InputError]:
    """Conflicts with ``federation.client_level_dp``, if the scenario sets it."""
    client = scenario.federation.client
    if scenario.federation.client_level_dp is None:
        return
    if client.dp_sgd is not None:
        yield InputError("federation.client.dp_sgd", client.dp_sgd.model_dump(), f"choose either this or {PATH}")
    if client.protocol == "fedavg" and client.samples is None:
        yield InputError("federation.client.samples", None, f"{PATH} needs equal weights: give the number of images")
    if client.batch_norm == "train_shared":
        yield InputError("federation.client.batch_norm", client.batch_norm, f"{PATH} does not hide shared buffers")
    if client.error_feedback:
        yield InputError("federation.client.error_feedback", True, f"{PATH} bounds each round's update separately")
