from __future__ import annotations

from fedleak.bench.base import lenet_scenario, stopwatch


def test_the_scenario_of_the_benchmarks_is_valid_and_its_blocks_can_be_replaced() -> None:
    scenario = lenet_scenario(images=50, federation={"clients": 7, "rounds": 2})
    assert scenario.federation.clients == 7
    assert scenario.dataset.kind == "synthetic"
    assert scenario.adversary.injection is not None


def test_a_stopwatch_keeps_its_time_after_the_block() -> None:
    with stopwatch() as watch:
        assert watch.seconds == 0.0
        sum(range(1000))
    assert watch.seconds > 0.0
