from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.client.guard.class_fishing import FishingGuard
from tests.client.guard.crafted import network


def last(rows: torch.Tensor, bias: torch.Tensor) -> nn.Module:
    return network(rows, bias)


def test_equal_rows_are_found() -> None:
    rows = torch.zeros(10, 6)
    rows[3] = torch.randn(6, generator=torch.Generator().manual_seed(0))
    (finding,) = FishingGuard().inspect(last(rows, torch.zeros(10)))
    assert str(finding) == "class_fishing: layer 0: 90% of its rows equal another row"


def test_biases_beside_which_no_logit_counts_are_found() -> None:
    bias = torch.full((10,), 1000.0)
    bias[3] = 0.5
    (finding,) = FishingGuard().inspect(last(torch.randn(10, 6, generator=torch.Generator().manual_seed(0)), bias))
    assert finding.reason == "its biases differ by 999.5"


@pytest.mark.parametrize("settings", [{"rows": 0.95}, {"bias": 2000.0}])
def test_both_thresholds_are_settings(settings: dict[str, float]) -> None:
    rows, bias = torch.zeros(10, 6), torch.full((10,), 1000.0)
    rows[3], bias[3] = 1.0, 0.0
    assert len(FishingGuard().inspect(last(rows, bias))) == 2
    assert len(FishingGuard(**settings).inspect(last(rows, bias))) == 1


def test_an_honest_layer_raises_no_alarm() -> None:
    assert FishingGuard().inspect(nn.Linear(6, 10)) == []
    assert FishingGuard().inspect(nn.Linear(6, 10, bias=False)) == []
