from __future__ import annotations

import torch
from torch import nn

from fedleak.families import kinds
from fedleak.metrics.analysis.base import LeakedBatch
from fedleak.metrics.analysis.guard_alarm import EVERY_GUARD, GuardAlarm
from tests.client.guard.crafted import imprint_weights, network


def batch(module: nn.Module) -> LeakedBatch:
    return LeakedBatch(module, torch.zeros(3, 1, 8, 8), torch.zeros(3, dtype=torch.int64), (0.5,), (0.5,))


def test_a_crafted_model_has_one_and_an_honest_one_zero() -> None:
    analysis, draws = GuardAlarm(), torch.Generator()
    assert analysis.evaluate(batch(network(*imprint_weights())), generator=draws).tolist() == [1.0] * 3
    assert analysis.evaluate(batch(nn.Linear(64, 10)), generator=draws).tolist() == [0.0] * 3


def test_only_the_named_guards_look() -> None:
    analysis = GuardAlarm.model_validate({"guards": ["trap_weights"]})
    assert analysis.evaluate(batch(network(*imprint_weights())), generator=torch.Generator()).tolist() == [0.0] * 3


def test_by_default_every_guard_looks() -> None:
    assert sorted(EVERY_GUARD) == sorted(kinds("guard"))
