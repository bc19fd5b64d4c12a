from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fedleak.bench import pairs
from fedleak.models.lenet import LeNet


def test_the_reference_loop_computes_the_gradient_of_one_pair() -> None:
    model = LeNet().build((3, 32, 32), 10, seed=0)
    image, label = torch.rand(1, 3, 32, 32), torch.tensor([3])
    F.cross_entropy(model(image), label).backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(pairs._one_by_one(model, image, label), expected)
    assert len(expected) == 15_826


def test_both_ways_are_timed_on_the_same_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "COMPARED", 20)
    measured = pairs._compare()
    ratio = measured["loop_us_per_pair"] / measured["vectorised_us_per_pair"]
    assert measured["speedup"] == pytest.approx(ratio)
