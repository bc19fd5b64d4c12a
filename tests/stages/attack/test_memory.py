from __future__ import annotations

import torch

from fedleak.stages.attack.memory import PeakMemory

MIB = 2**20


def test_the_peak_counts_what_has_been_given_back() -> None:
    peak = PeakMemory(torch.device("cpu"))
    before = peak.bytes()
    block = torch.ones(64 * MIB // 4)
    total = float(block.sum())
    del block
    after = peak.bytes()
    assert total == 16 * MIB
    assert before > MIB, "a process with torch in it"
    assert 48 * MIB < after - before < 256 * MIB
    assert peak.bytes() >= after
