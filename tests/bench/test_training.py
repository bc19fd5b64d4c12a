from __future__ import annotations

import pytest

from fedleak.bench.training import measure
from fedleak.progress import QuietProgress


def test_a_small_transcript_of_a_million_parameter_model_is_written_and_trained_on() -> None:
    measured = measure(QuietProgress(), gigabytes=0.2, epochs=1)
    assert measured["values_per_update"] > 900_000
    assert measured["transcript_gb"] == pytest.approx(
        2e-9 * measured["pairs"] * measured["values_per_update"], rel=0.01
    )
    assert measured["epochs"] == 1
    assert measured["peak_resident_gib"] > 0
