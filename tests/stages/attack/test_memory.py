from __future__ import annotations

from mmap import mmap

import psutil
import torch

from fedleak.stages.attack.memory import PeakMemory

MIB = 2**20


def test_the_peak_counts_what_has_been_given_back() -> None:
    """Not every kernel can forget an earlier peak, so that only a lower bound holds everywhere.

    The block is mapped directly: an allocator may serve a tensor of this size from memory that is resident already.
    """
    peak, process = PeakMemory(torch.device("cpu")), psutil.Process()
    before = process.memory_info().rss
    with mmap(-1, 64 * MIB) as block:
        block.write(b"\x01" * (64 * MIB))
    assert peak.bytes() > before + 48 * MIB
    assert peak.bytes() < 2 * psutil.virtual_memory().total
