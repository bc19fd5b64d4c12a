from __future__ import annotations

import pytest

from fedleak.server.aggregation.base import StalenessWeight
from fedleak.server.aggregation.fedasync import FedAsync
from tests.server.aggregation.arrivals import arrival, model, weight


def test_local_models_are_mixed_in_one_after_the_other() -> None:
    """A current client's model 10 + 2, then one of three rounds ago, 4 + 1, which counts half."""
    rule = FedAsync(mixing=0.5, weight=StalenessWeight(kind="polynomial", a=0.5))
    arrivals = [arrival(2.0, version=3, origin=10.0), arrival(1.0, version=0, origin=4.0)]
    new, memory = rule.aggregate(model(10.0), arrivals, {}, version=3)
    first = 0.5 * 10 + 0.5 * 12
    assert weight(new) == pytest.approx(0.75 * first + 0.25 * 5)
    assert not memory
