from __future__ import annotations

import pytest
import torch

from fedleak.bench.postprocess import STEPS, measure
from fedleak.client.postprocess.base import PostProcess
from fedleak.families import kinds
from fedleak.progress import QuietProgress


def test_every_step_is_measured_and_its_size_is_that_of_its_encoding() -> None:
    threads = torch.get_num_threads()
    measured = measure(QuietProgress(), values=20_000, repeats=1)
    assert torch.get_num_threads() == threads
    steps = {kind: cls for kind, cls in kinds("postprocess").items() if issubclass(cls, PostProcess)}
    assert {step.kind for step in STEPS.values()} == {kind for kind, cls in steps.items() if not cls.needs_batch}
    for name in STEPS:
        assert all(measured[f"{name}_{what}_per_s"] > 0 for what in ("mvalues", "encode_mvalues", "decode_mvalues"))
    assert measured["values"] == 20_000
    assert measured["top_k_over_torch"] > 0
    assert measured["qsgd_8_bits_per_value"] <= 9 * 1.05
    assert measured["sign_bits_per_value"] == pytest.approx(1, rel=0.05)
    assert measured["gaussian_bits_per_value"] == pytest.approx(32, rel=0.01)
    assert measured["masking_bits_per_value"] == pytest.approx(0.8 * 32, rel=0.01)
