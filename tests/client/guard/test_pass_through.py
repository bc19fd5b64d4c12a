from __future__ import annotations

import torch
from torch import nn

from fedleak.client.guard.pass_through import PassThrough
from tests.client.guard.crafted import identity_filters


def test_filters_that_copy_are_found() -> None:
    layer = nn.Conv2d(4, 4, 3, padding=1)
    with torch.no_grad():
        layer.weight.copy_(identity_filters(4))
    (finding,) = PassThrough().inspect(nn.Sequential(layer, nn.ReLU()))
    assert str(finding) == "pass_through: layer 0: 100% of its filters copy one input"


def test_a_few_copies_among_many_filters_are_found_by_a_lower_bound() -> None:
    layer = nn.Linear(16, 40)
    with torch.no_grad():
        layer.weight[:5] = torch.eye(16)[:5]
    assert PassThrough().inspect(layer) == []
    assert len(PassThrough(rows=0.1).inspect(layer)) == 1
