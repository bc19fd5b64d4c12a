from __future__ import annotations

from fedleak.bench.averaging import measure
from fedleak.progress import QuietProgress


def test_both_ways_take_the_same_local_steps() -> None:
    measured = measure(QuietProgress(), rounds=1, samples=33)
    assert measured["local_steps"] == 10 * 2
    assert measured["federation_seconds"] > 0
    assert measured["averaging_over_loop"] == measured["federation_seconds"] / measured["loop_seconds"]
