from __future__ import annotations

import pytest
import torch

from fedleak.server.aggregation.base import StalenessWeight, moved


def test_weights_by_hand() -> None:
    ages = range(7)
    assert [StalenessWeight(kind="constant")(age) for age in ages] == [1.0] * 7
    assert StalenessWeight()(3) == pytest.approx(0.5)
    assert StalenessWeight(a=1.0)(3) == pytest.approx(0.25)
    hinge = StalenessWeight(kind="hinge", a=10, b=4)
    assert [hinge(age) for age in ages] == pytest.approx([1, 1, 1, 1, 1, 1 / 11, 1 / 21])


def test_counters_stay_whole() -> None:
    new = moved({"n": torch.tensor(3)}, {"n": torch.tensor(1.6)})
    assert new["n"].dtype == torch.int64
    assert int(new["n"]) == 5
