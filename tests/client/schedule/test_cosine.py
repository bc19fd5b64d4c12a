from __future__ import annotations

import pytest
from torch.optim.lr_scheduler import CosineAnnealingLR

from fedleak.client.schedule.cosine import Cosine
from tests.client.schedule.courses import own_factors, torch_factors


@pytest.mark.parametrize("final", [0.0, 0.2])
def test_it_is_torchs(final: float) -> None:
    expected = torch_factors(lambda optimiser: CosineAnnealingLR(optimiser, T_max=7, eta_min=final), 7)
    assert own_factors(Cosine(final=final), 7) == pytest.approx(expected)
