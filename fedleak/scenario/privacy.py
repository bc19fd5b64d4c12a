"""Checks for differential privacy: of clients, with one clipping bound and equal weights, and of examples."""

from __future__ import annotations

from collections.abc import Iterator

from fedleak.errors import InputError
from fedleak.scenario.schema import Scenario
from fedleak.threat import MiniBatchOrder

PATH = "federation.client_level_dp"


def check_privacy(scenario: Scenario) -> Iterator[InputError]:
    """Conflicts with ``federation.client_level_dp`` and ``federation.client.dp_sgd``, if the scenario sets them."""
    client = scenario.federation.client
    yield from _check_sampling(scenario)
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


def _check_sampling(scenario: Scenario) -> Iterator[InputError]:
    """What the accountant of ``dp_sgd`` cannot speak for."""
    client, order = scenario.federation.client, MiniBatchOrder.capability_name()
    if client.dp_sgd is None:
        return
    if client.selection != "random":
        yield InputError(
            "federation.client.selection", client.selection, "dp_sgd needs images that are drawn at random: random"
        )
    if client.dp_sgd.sampling != "poisson":
        return
    path = "federation.client.dp_sgd.sampling"
    if client.protocol == "fedsgd":
        yield InputError(path, "poisson", "a fedsgd gradient has batch_size images: expected fixed, or protocol fedavg")
    if client.samples is not None:
        yield InputError(
            "federation.client.samples",
            client.samples,
            "poisson sampling draws every mini-batch from all of a client's images: expected null",
        )
    if order in scenario.adversary.granted:
        yield InputError(
            path, "poisson", f"its mini-batches vary in size, and {order} is recorded for fixed ones: do not grant it"
        )
