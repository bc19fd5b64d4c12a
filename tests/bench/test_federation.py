from __future__ import annotations

from fedleak.bench.federation import _RoundTimes
from fedleak.progress import QuietProgress


def test_only_the_bar_that_counts_rounds_is_timed() -> None:
    watched = _RoundTimes(QuietProgress())
    watched.task("injected pairs, round 1", 10).advance()
    assert watched.ends == []
    bar = watched.task("federation rounds", 2)
    bar.advance(0)
    bar.advance()
    assert len(watched.ends) == 2
    assert watched.ends[0] <= watched.ends[1]
