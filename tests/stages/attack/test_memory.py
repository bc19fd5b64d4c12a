from __future__ import annotations

import psutil
import torch

from fedleak.stages.attack.memory import PeakMemory

MIB = 2**20


def test_the_peak_counts_what_has_been_given_back() -> None:
    """Not every kernel can forget an earlier peak, so that only a lower bound holds everywhere."""
    peak, process = PeakMemory(torch.device("cpu")), psutil.Process()
    block = torch.ones(64 * MIB // 4)
    held = process.memory_info().rss
    total = float(block.sum())
    del block
    left = process.memory_info().rss
    assert total == 16 * MIB
    assert held - left > 48 * MIB
    assert peak.bytes() > left + 48 * MIB
    assert peak.bytes() < 2 * psutil.virtual_memory().total
