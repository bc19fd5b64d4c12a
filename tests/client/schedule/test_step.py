from __future__ import annotations

import pytest
from torch.optim.lr_scheduler import StepLR

from fedleak.client.schedule.step import Step
from tests.client.schedule.courses import own_factors, torch_factors


def test_it_is_torchs() -> None:
    expected = torch_factors(lambda optimiser: StepLR(optimiser, step_size=3, gamma=0.3), 10)
    assert own_factors(Step(every=3, gamma=0.3), 10) == pytest.approx(expected)
