"""Checks for asynchronous federations."""

from __future__ import annotations

from collections.abc import Iterator

from fedleak.errors import InputError
from fedleak.scenario.schema import Scenario
from fedleak.server.staleness.fixed import Fixed
from fedleak.server.staleness.trace import Trace


def check_asynchrony(scenario: Scenario) -> Iterator[InputError]:
    """Conflicts with ``federation.staleness`` and ``federation.server.aggregation``."""
    federation = scenario.federation
    staleness, rule = federation.staleness, federation.server.aggregation
    if isinstance(staleness, Trace) and len(staleness.lags) != federation.clients:
        lists = len(staleness.lags)
        yield InputError(
            "federation.staleness.lags", lists, f"expected one list for each of {federation.clients} clients"
        )
    if federation.secure_aggregation is not None and not isinstance(staleness, Fixed):
        yield InputError("federation.staleness", staleness.kind, "a secure sum needs updates of one version: fixed")
    for name in ("secure_aggregation", "client_level_dp"):
        if rule is not None and getattr(federation, name) is not None:
            path = f"federation.{name}"
            yield InputError("federation.server.aggregation", rule.kind, f"{path} needs the mean of all updates: null")
