from __future__ import annotations

import pytest
import torch

from fedleak.bench.inversion import _engine, _engine_speed, _known, _reference_speed, _victims
from fedleak.models.lenet import LeNet

SMALL = LeNet(channels=2).build((3, 32, 32), 10, seed=0)


def test_engine_and_reference_minimise_the_same_objective() -> None:
    """The engine's matching loss at the start is the reference's, computed by torch's own cosine similarity."""
    gradients, start = _victims(SMALL, 2)
    known = _known(SMALL, gradients)
    _, _, matching = _engine(SMALL, compiled=False).objective.value_and_gradient({"code": start}, known)
    for i in range(2):
        loss = torch.nn.functional.cross_entropy(SMALL(start[i]), torch.tensor([i]))
        trial = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(SMALL.parameters()))])
        shared = torch.cat([g.flatten() for g in gradients[i].values()])
        expected = 1 - torch.nn.functional.cosine_similarity(trial, shared, dim=0)
        torch.testing.assert_close(matching[i], expected, rtol=1e-4, atol=1e-6)


def test_speeds_are_positive() -> None:
    assert _engine_speed(SMALL, victims=2, iterations=2, compiled=False) > 0
    assert _reference_speed(SMALL, 2) > 0


@pytest.mark.slow
def test_a_compiled_engine_has_a_speed_too() -> None:
    assert _engine_speed(SMALL, victims=1, iterations=2, compiled=True) > 0
