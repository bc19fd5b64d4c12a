from __future__ import annotations

import pytest

from fedleak.client.guard.trap_weights import TrapWeights
from tests.client.guard.crafted import network, trap_weights


@pytest.mark.parametrize("scale", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("inputs", [16, 192])
def test_a_trap_layer_is_found_and_named(scale: float, inputs: int) -> None:
    (finding,) = TrapWeights().inspect(network(trap_weights(inputs=inputs, scale=scale)))
    assert (finding.guard, finding.layer) == ("trap_weights", "0")


def test_rows_that_are_balanced_but_not_weaker_are_none() -> None:
    assert TrapWeights().inspect(network(-trap_weights())) == []
