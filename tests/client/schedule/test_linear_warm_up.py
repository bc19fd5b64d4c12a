from __future__ import annotations

import pytest
from torch.optim.lr_scheduler import LinearLR

from fedleak.client.schedule.linear_warm_up import LinearWarmUp
from tests.client.schedule.courses import own_factors, torch_factors


def test_it_is_torchs() -> None:
    expected = torch_factors(lambda optimiser: LinearLR(optimiser, start_factor=1 / 4, total_iters=3), 8)
    assert own_factors(LinearWarmUp(warm_up=4), 8) == pytest.approx(expected)


def test_the_first_step_may_take_the_full_rate() -> None:
    assert own_factors(LinearWarmUp(warm_up=1), 3) == [1.0] * 3
