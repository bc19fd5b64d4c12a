from __future__ import annotations

import pytest
from torch import nn

from fedleak.models.norms import norm


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (6, 1), (8, 2), (16, 4), (24, 6), (64, 8), (128, 8)])
def test_groups_divide_the_channels_and_hold_at_least_four(channels: int, groups: int) -> None:
    layer = norm("group", channels)
    assert isinstance(layer, nn.GroupNorm)
    assert layer.num_groups == groups


def test_names() -> None:
    assert isinstance(norm("none", 4), nn.Identity)
    assert isinstance(norm("batch", 4), nn.BatchNorm2d)
