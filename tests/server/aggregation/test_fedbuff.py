from __future__ import annotations

import math

import pytest

from fedleak.server.aggregation.fedbuff import FedBuff
from fedleak.tensors import NamedTensors
from tests.server.aggregation.arrivals import arrival, model, weight


def test_the_server_steps_when_the_buffer_is_full() -> None:
    rule = FedBuff(buffer=3)
    memory: NamedTensors = {}
    state, memory = rule.aggregate(model(0.0), [arrival(1.0), arrival(2.0)], memory, version=0)
    assert weight(state) == 0, "two of three are waiting"
    state, memory = rule.aggregate(state, [arrival(3.0, version=1), arrival(4.0)], memory, version=1)
    assert weight(state) == pytest.approx(2.0), "the mean of 1, 2, 3; no step lay between the versions"
    # Of age one by now: the 4 came after the step, on the version before it, as does the 5.
    state, memory = rule.aggregate(state, [arrival(5.0, version=1), arrival(6.0, version=2)], memory, version=2)
    assert weight(state) == pytest.approx(2.0 + ((4 + 5) / math.sqrt(2) + 6) / 3)


def test_one_round_may_fill_the_buffer_twice() -> None:
    arrivals = [arrival(float(change)) for change in (1, 3, 5, 7)]
    state, _ = FedBuff(buffer=2).aggregate(model(0.0), arrivals, {}, version=0)
    assert weight(state) == pytest.approx(2 + 6 / math.sqrt(2))
